/** An OpenID issuer over TLS: its discovery document, its keys, and whatever tokens a test wants of it. */
import { generateKeyPairSync, sign } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { encodePem } from '../../../src/der/pem.ts';
import { issue } from '../../../src/x509/path/testdata/issue.ts';

export interface Issuer extends AsyncDisposable {
  readonly url: string;
  /** PEM of the root that its server is trusted by. */
  readonly ca: string;
  /** A token by RS256, for ten minutes; `iss` is its own unless the claims say otherwise. */
  token(claims: object): string;
}

export async function tlsIssuer(): Promise<Issuer> {
  const lasting = { notBefore: Date.UTC(2020, 0), notAfter: Date.UTC(2049, 0) };
  const root = issue('issuer root', { ca: true, ...lasting });
  const names = [{ kind: 'ip' as const, value: Uint8Array.of(127, 0, 0, 1) }];
  const server = issue('issuer', { issuer: root, names, ...lasting });
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const jwks = { keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'key-1', alg: 'RS256', use: 'sig' }] };
  const listener = createServer(
    {
      cert: encodePem('CERTIFICATE', server.certificate.raw),
      key: server.key.privateKey.export({ type: 'pkcs8', format: 'pem' }),
    },
    (request, response) => {
      const documents: Readonly<Record<string, object>> = {
        '/.well-known/openid-configuration': { issuer: url, jwks_uri: `${url}/keys` },
        '/keys': jwks,
      };
      const document = documents[request.url!];
      response.writeHead(document === undefined ? 404 : 200, { 'Content-Type': 'application/json' });
      response.end(JSON.stringify(document ?? {}));
    },
  ).listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const url = `https://127.0.0.1:${(listener.address() as AddressInfo).port}`;
  let count = 0;
  return {
    url,
    ca: encodePem('CERTIFICATE', root.certificate.raw),
    token(claims) {
      const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
      const iat = Math.floor(Date.now() / 1000);
      const said = { iss: url, iat, exp: iat + 600, jti: `token-${count++}`, ...claims };
      const signed = `${part({ alg: 'RS256', typ: 'JWT', kid: 'key-1' })}.${part(said)}`;
      return `${signed}.${sign('sha256', Buffer.from(signed), privateKey).toString('base64url')}`;
    },
    async [Symbol.asyncDispose]() {
      listener.closeAllConnections();
      await new Promise((done) => listener.close(done));
    },
  };
}
