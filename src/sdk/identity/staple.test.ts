import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect, createServer, type Server, type TLSSocket } from 'node:tls';
import { newKey, SYSTEM } from '../../../test/installation.ts';
import { type OcspSite, ocspSite } from '../../../test/ocsp-site.ts';
import { isWritError } from '../../base/error.ts';
import { encodePem } from '../../der/pem.ts';
import { issueServerCertificate } from '../../issuance/server.ts';
import { requireStaple, type StapleOptions, stapleOcsp } from './staple.ts';

let site: OcspSite;
before(async () => {
  site = await ocspSite();
});
after(() => site.close());

interface Stapling {
  readonly server: Server;
  readonly serial: Uint8Array;
  /** What becomes of a client that wants a staple: `connected`, or the code of why not. */
  visit(clientAt?: () => number): Promise<string>;
  [Symbol.asyncDispose](): Promise<void>;
}

async function stapling(options: StapleOptions | undefined): Promise<Stapling> {
  const key = newKey();
  const csr = await key.csr();
  const issued = await issueServerCertificate(
    SYSTEM,
    { csr, wish: { dnsNames: ['localhost'] } },
    site.installation.issuance,
  );
  const [certificate, ...chain] = [issued.der, ...issued.chain].map((der) => encodePem('CERTIFICATE', der));
  const server = createServer({
    key: key.key.export({ type: 'pkcs8', format: 'pem' }) as string,
    cert: [certificate!, ...chain].join(''),
  });
  const end = options && stapleOcsp(server, { credential: { certificate: certificate!, chain } }, options);
  server.on('secureConnection', (socket) => socket.on('error', () => undefined).end());
  server.on('tlsClientError', () => undefined);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const ca = readFileSync(site.root);
  return {
    server,
    serial: issued.serial,
    visit(now = Date.now) {
      const { port } = server.address() as AddressInfo;
      const socket: TLSSocket = connect({ host: '127.0.0.1', port, servername: 'localhost', ca, requestOCSP: true });
      requireStaple(socket, { clock: { now } as never });
      const text = (error: unknown): string => (isWritError(error) ? `${error.code}: ${error.message}` : String(error));
      // The server ends the connection at once, so it ends one way or the other.
      return new Promise((resolve) => {
        socket.on('error', (error) => resolve(text(error)));
        socket.on('secureConnect', () => !socket.destroyed && resolve('connected'));
        socket.on('close', () => resolve('closed'));
      });
    },
    async [Symbol.asyncDispose]() {
      end?.();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

test('a staple is fetched once, and lets a client in that wants one', async () => {
  await using one = await stapling({ url: `${site.url}/ocsp` });
  assert.equal(await one.visit(), 'connected');
  assert.equal(await one.visit(), 'connected');
});

test('a server without a staple is left', async () => {
  await using none = await stapling(undefined);
  assert.match(await none.visit(), /^not_authenticated: The server stapled no OCSP answer/);
  await using unreachable = await stapling({ url: 'http://127.0.0.1:1/ocsp' });
  assert.match(await unreachable.visit(), /^not_authenticated: The server stapled no OCSP answer/);
});

test('a staple is followed by another at half of its life, which says that the certificate was revoked', async () => {
  let ahead = 0;
  await using one = await stapling({ url: `${site.url}/ocsp`, clock: { now: () => Date.now() + ahead } as never });
  assert.equal(await one.visit(), 'connected');
  await site.revoke({ serial: one.serial } as never);
  assert.equal(await one.visit(), 'connected', 'as was true a moment ago');
  ahead = 40_000;
  assert.equal(await one.visit(), 'connected', 'nobody waits for the next');
  for (let i = 0; i < 100; i++) {
    const outcome = await one.visit();
    if (outcome !== 'connected') return assert.match(outcome, /^revoked: /);
    await sleep(20);
  }
  assert.fail('the answer of before is given for ever');
});

test('a staple that is out of date is not believed, nor one from the future', async () => {
  await using one = await stapling({ url: `${site.url}/ocsp` });
  assert.match(await one.visit(() => Date.now() + 120_000), /^not_authenticated: .* is out of date/);
  assert.match(await one.visit(() => Date.now() - 120_000), /^not_authenticated: .*/);
});
