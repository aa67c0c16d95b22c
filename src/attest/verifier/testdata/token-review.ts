/**
 * The part of a Kubernetes API server that reviews tokens, by its published reference (authentication.k8s.io/v1), and as
 * strict as that: what a real one would refuse is refused here.
 */
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { encodePem } from '../../../der/pem.ts';
import { issue } from '../../../x509/path/testdata/issue.ts';

export interface Account {
  readonly username: string;
  readonly uid: string;
  readonly groups: readonly string[];
  readonly extra?: Readonly<Record<string, readonly string[]>>;
  readonly audiences: readonly string[];
}

export interface FakeCluster extends AsyncDisposable {
  readonly url: string;
  readonly ca: string;
  /** Tokens that are valid now. */
  readonly accounts: Map<string, Account>;
  /** Tokens that may create reviews. */
  readonly reviewers: Set<string>;
  /** Set to leave audiences out of answers, as servers before 1.13 did. */
  unaware: boolean;
  /** Resolves before each answer. */
  before: Promise<void> | undefined;
  reviews: number;
}

const PATH = '/apis/authentication.k8s.io/v1/tokenreviews';

/** `notAfter` far enough for the clock of the machine, which TLS goes by. */
export async function fakeCluster(): Promise<FakeCluster> {
  const lasting = { notBefore: Date.UTC(2020, 0), notAfter: Date.UTC(2049, 0) };
  const root = issue('kubernetes', { ca: true, ...lasting });
  const server = issue('kube-apiserver', {
    issuer: root,
    names: [{ kind: 'ip', value: Uint8Array.of(127, 0, 0, 1) }],
    ...lasting,
  });
  const listener: Server = createServer({
    cert: encodePem('CERTIFICATE', server.certificate.raw),
    key: server.key.privateKey.export({ type: 'pkcs8', format: 'pem' }),
  });
  const state = {
    accounts: new Map<string, Account>(),
    reviewers: new Set<string>(),
    unaware: false,
    before: undefined as Promise<void> | undefined,
    reviews: 0,
  };
  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    let text = '';
    for await (const chunk of request) text += String(chunk);
    await state.before;
    const answer = (status: number, body: object): void => {
      response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(body));
    };
    const failure = (code: number, reason: string): void =>
      answer(code, { kind: 'Status', apiVersion: 'v1', status: 'Failure', reason, code });
    const bearer = /^Bearer (\S+)$/.exec(request.headers.authorization ?? '')?.[1] ?? '';
    if (request.url !== PATH) return failure(404, 'NotFound');
    if (request.method !== 'POST') return failure(405, 'MethodNotAllowed');
    if (!state.reviewers.has(bearer)) return failure(state.accounts.has(bearer) ? 403 : 401, 'Unauthorized');
    if (request.headers['content-type'] !== 'application/json') return failure(415, 'UnsupportedMediaType');
    const asked = JSON.parse(text) as {
      apiVersion?: string;
      kind?: string;
      spec?: { token?: string; audiences?: readonly string[] };
    };
    if (asked.apiVersion !== 'authentication.k8s.io/v1' || asked.kind !== 'TokenReview' || !asked.spec?.token) {
      return failure(400, 'BadRequest');
    }
    state.reviews += 1;
    const { token, audiences = [] } = asked.spec;
    const account = state.accounts.get(token);
    const common = audiences.filter((one) => account?.audiences.includes(one));
    const head = { kind: 'TokenReview', apiVersion: 'authentication.k8s.io/v1', metadata: {}, spec: asked.spec };
    if (account === undefined || (common.length === 0 && !state.unaware)) {
      return answer(201, { ...head, status: { user: {}, error: 'invalid bearer token' } });
    }
    const { audiences: _, ...user } = account;
    const status = { authenticated: true, user, ...(state.unaware ? {} : { audiences: common }) };
    return answer(201, { ...head, status });
  };
  listener.on('request', (request, response) => void serve(request, response));
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = listener.address() as AddressInfo;
  return Object.assign(state, {
    url: `https://127.0.0.1:${port}`,
    ca: encodePem('CERTIFICATE', root.certificate.raw),
    [Symbol.asyncDispose]: async () => {
      listener.closeAllConnections();
      await new Promise((done) => listener.close(done));
    },
  });
}
