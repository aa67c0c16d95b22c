/**
 * What platforms answer to programs that run on them, by their published references, and as strict as those: what a real
 * one would refuse is refused here. All on loopback.
 */
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';

interface Asked {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
}

interface Answer {
  readonly status: number;
  readonly body?: string | object;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Platform extends AsyncDisposable {
  /** `http://127.0.0.1:port`. */
  readonly url: string;
  /** Method and path of each question, in order. */
  readonly asked: readonly string[];
}

/** Answers what a function says. */
export async function platform(answer: (asked: Asked) => Answer): Promise<Platform> {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    const { pathname: path, searchParams: query } = new URL(request.url!, 'http://platform');
    asked.push(`${request.method} ${path}`);
    const { status, body = '', headers } = answer({ method: request.method!, path, query, headers: request.headers });
    response.writeHead(status, headers).end(typeof body === 'string' ? body : JSON.stringify(body));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    asked,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
}

/** EC2 User Guide, "How Instance Metadata Service Version 2 works", where IMDSv2 is required. */
export function awsMetadata(document: () => string): Promise<Platform> {
  const sessions = new Set<string>();
  return platform(({ method, path, headers }) => {
    if (headers['x-forwarded-for'] !== undefined) return { status: 403 };
    if (path === '/latest/api/token') {
      const seconds = Number(headers['x-aws-ec2-metadata-token-ttl-seconds']);
      if (method !== 'PUT') return { status: 405 };
      if (!(seconds >= 1 && seconds <= 21_600)) return { status: 400 };
      const session = `session-${sessions.size}==`;
      sessions.add(session);
      return { status: 200, body: session };
    }
    if (!sessions.has(String(headers['x-aws-ec2-metadata-token']))) return { status: 401 };
    if (method !== 'GET' || path !== '/latest/dynamic/instance-identity/rsa2048') return { status: 404 };
    return { status: 200, body: document().replaceAll(/.{64}/g, '$&\n') };
  });
}

/** Compute Engine, "View and query VM metadata" and "Verify the identity of VMs". */
export function gcpMetadata(token: (audience: string, full: boolean) => string): Promise<Platform> {
  const mark = { 'Metadata-Flavor': 'Google', Server: 'Metadata Server for VM' };
  return platform(({ path, query, headers }) => {
    if (headers['metadata-flavor'] !== 'Google' || headers['x-forwarded-for'] !== undefined) return { status: 403 };
    if (path !== '/computeMetadata/v1/instance/service-accounts/default/identity') return { status: 404, headers: mark };
    const audience = query.get('audience') ?? '';
    if (audience === '') return { status: 400, headers: mark, body: 'non-empty audience parameter required' };
    return { status: 200, headers: mark, body: token(audience, query.get('format') === 'full') };
  });
}

/** Azure, "Instance Metadata Service" (attested data) and "How to use managed identities to acquire a token". */
export function azureMetadata(made: {
  readonly document?: (nonce: string) => string;
  readonly token?: (resource: string) => string;
}): Promise<Platform> {
  return platform(({ path, query, headers }) => {
    const wrong = (error: string): Answer => ({ status: 400, body: { error } });
    if (headers['metadata'] !== 'true') return wrong('Bad request. Required metadata header not specified');
    if (headers['x-forwarded-for'] !== undefined) return wrong('Bad request');
    const version = query.get('api-version');
    if (version === null) return wrong('Bad request. api-version was not specified in the request.');
    if (path === '/metadata/attested/document' && made.document !== undefined) {
      if (version !== '2021-12-13') return wrong('Bad request. api-version is invalid');
      const nonce = query.get('nonce') ?? '';
      return nonce.length > 32
        ? wrong('Bad request. nonce is too long')
        : { status: 200, body: { encoding: 'pkcs7', signature: made.document(nonce) } };
    }
    if (path === '/metadata/identity/oauth2/token' && made.token !== undefined) {
      return version === '2018-02-01' ? managedIdentity(query, made.token) : wrong('invalid_request');
    }
    return { status: 404 };
  });
}

/** App Service, "REST endpoint reference" of managed identities. */
export function azureAppService(secret: string, token: (resource: string) => string): Promise<Platform> {
  return platform(({ path, query, headers }) => {
    if (headers['x-identity-header'] !== secret) return { status: 401 };
    if (path !== '/msi/token' || query.get('api-version') !== '2019-08-01') return { status: 400 };
    return managedIdentity(query, token);
  });
}

function managedIdentity(query: URLSearchParams, token: (resource: string) => string): Answer {
  const resource = query.get('resource') ?? '';
  if (resource === '') return { status: 400, body: { error: 'invalid_request', error_description: 'resource' } };
  const body = { access_token: token(resource), expires_on: '1506484173', resource, token_type: 'Bearer' };
  return { status: 200, body };
}

/** GitHub, "OpenID Connect reference": what `ACTIONS_ID_TOKEN_REQUEST_URL` and `…_TOKEN` are for. */
export function githubActions(bearer: string, token: (audience: string) => string): Promise<Platform> {
  return platform(({ method, path, query, headers }) => {
    if (headers.authorization !== `Bearer ${bearer}`) return { status: 401, body: { message: 'unauthorized' } };
    if (method !== 'GET' || path !== '/_apis/idtoken' || query.get('api-version') !== '2.0') return { status: 404 };
    const value = token(query.get('audience') ?? 'https://github.com/example');
    return { status: 200, headers: { 'Content-Type': 'application/json' }, body: { count: value.length, value } };
  });
}
