/** A bundle endpoint of another trust domain, on loopback, which answers as a test wants. */
import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { type AddressRule, addressRule } from '../../src/http/outbound-address.ts';
import { type TestAuthority, testAuthority } from '../../src/http/testdata/authority.ts';
import { parseCertificate } from '../../src/x509/certificate.ts';

/** Loopback is nobody's endpoint but a test's. */
export const LOOPBACK: AddressRule = addressRule(
  { allowHttp: false, allowNetworks: ['127.0.0.0/8'] },
  'federation.allowNetworks',
);

export interface Endpoint extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  /** Requests that came, by their path. */
  readonly asked: string[];
  readonly clientCertificates: number[];
  answer: (request: IncomingMessage, response: ServerResponse) => void;
}

export interface Shown {
  readonly keyPem: string;
  readonly pem: string;
}

export async function endpoint(shown: Shown, answer: Endpoint['answer']): Promise<Endpoint> {
  const server: Server = createServer({
    key: shown.keyPem,
    cert: shown.pem,
    requestCert: true,
    rejectUnauthorized: false,
  });
  const made = { asked: [] as string[], clientCertificates: [] as number[], answer };
  server.on('request', (request, response) => {
    made.asked.push(request.url!);
    made.clientCertificates.push((request.socket as TLSSocket).getPeerX509Certificate() === undefined ? 0 : 1);
    result.answer(request, response);
  });
  server.on('tlsClientError', () => undefined);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  const result: Endpoint = {
    ...made,
    port,
    url: `https://127.0.0.1:${port}/bundle.json`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  return result;
}

/** Answers with a bundle, whatever it is asked. */
export function serving(bundle: () => object | string): Endpoint['answer'] {
  return (_request, response) => {
    const body = bundle();
    response.writeHead(200, { 'Content-Type': 'application/json' });
    response.end(typeof body === 'string' ? body : JSON.stringify(body));
  };
}

/** The authority of another trust domain. */
export function foreign(name = 'Partner'): TestAuthority {
  return testAuthority(name);
}

/** A key of X.509-SVIDs as a bundle has it. */
export function x509Key({ der }: { readonly der: Uint8Array }): Record<string, unknown> {
  const spki = Buffer.from(parseCertificate(der).spki);
  const jwk = createPublicKey({ key: spki, format: 'der', type: 'spki' }).export({ format: 'jwk' });
  return { ...jwk, use: 'x509-svid', x5c: [Buffer.from(der).toString('base64')] };
}

/** A key of JWT-SVIDs, and its private half. */
export function jwtKey(kid: string): { readonly jwk: Record<string, unknown>; readonly privateKey: KeyObject } {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return { jwk: { ...publicKey.export({ format: 'jwk' }), kid, use: 'jwt-svid' }, privateKey };
}
