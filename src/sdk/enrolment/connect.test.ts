/** The client library against a real server. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { createServer } from 'node:tls';
import { testServer } from '../../../test/server.ts';
import { isWritError } from '../../base/error.ts';
import { testAuthority } from '../../http/testdata/authority.ts';
import { parseSpiffeId } from '../../spiffe-id/spiffe-id.ts';
import { formatJoinToken, parseJoinToken } from '../../wire/join-token.ts';
import { connect } from './connect.ts';

const server = await testServer();
const instanceOf = (spiffeId: string): string => parseSpiffeId(spiffeId).segments[2]!;

test('one string is all it takes: enrol, renew with a new key, keep the name', async () => {
  using identity = await connect({ token: ` ${await server.token('planner')}\n` });
  const { trustDomain, spiffeId, credential } = identity;
  assert.equal(trustDomain, 'writ.internal');
  assert.match(spiffeId, /^spiffe:\/\/writ\.internal\/agent\/planner\/[0-9a-z]{26}$/);
  const certificate = new X509Certificate(credential.certificate);
  assert.equal(certificate.subjectAltName, `URI:${spiffeId}`);
  assert.equal(certificate.serialNumber.toLowerCase(), credential.serial);
  assert.ok(certificate.checkPrivateKey(credential.key));
  assert.ok(Math.abs(credential.notBefore + 30_000 - Date.now()) < 15_000);
  const events: string[] = [];
  identity.on('renewed', ({ serial }) => events.push(serial));
  const next = await identity.renew();
  assert.notEqual(next.serial, credential.serial);
  assert.ok(!next.key.equals(credential.key));
  assert.equal(next.spiffeId, spiffeId);
  assert.deepEqual(events, [next.serial]);
  const { items } = await server.json<{ items: { serial: string; previous?: string }[] }>(
    ...['cert', 'list', '--instance', instanceOf(spiffeId)],
  );
  assert.deepEqual(
    items.map(({ serial, previous }) => [serial, previous]),
    [
      [next.serial, credential.serial],
      [credential.serial, undefined],
    ],
  );
});

test('a token lets in once, a cut one is told from a spent one, none is asked for', async () => {
  const token = await server.token('planner');
  (await connect({ token })).close();
  await assert.rejects(connect({ token }), (error) => isWritError(error, 'token_refused'));
  await assert.rejects(connect({ token: token.slice(0, -3) }), (error) => isWritError(error, 'bad_token'));
  await assert.rejects(connect({}), (error) => isWritError(error, 'bad_token') && error.field === 'token');
  await assert.rejects(connect({ tokenFile: join(server.scratch, 'none') }), (error) => {
    return isWritError(error, 'bad_token') && error.field === 'tokenFile';
  });
});

test('a place in which nothing can be kept is refused before the token is spent', async () => {
  const token = await server.token('planner');
  const file = join(server.scratch, 'a-file');
  writeFileSync(file, '');
  for (const store of [file, join(file, 'below')]) {
    await assert.rejects(connect({ token, store }), (error) => {
      return isWritError(error, 'bad_config') && error.field === 'store' && error.remedy!.includes(store);
    });
  }
  (await connect({ token })).close();
});

test('a server with another root is left before anything secret is said', async () => {
  const root = testAuthority();
  const leaf = root.leaf({ uri: 'spiffe://writ.internal/writ/server', dns: ['localhost'], loopback: true });
  let heard = '';
  const impostor = createServer({ key: leaf.keyPem, cert: leaf.pem }, (socket) => {
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      heard += String(chunk);
      const found = heard.includes('root.pem') ? root.pem : '{}';
      socket.end(`HTTP/1.1 200 OK\r\nContent-Length: ${found.length}\r\n\r\n${found}`);
    });
  });
  await once(impostor.listen(0, '127.0.0.1'), 'listening');
  const { port } = impostor.address() as AddressInfo;
  const real = parseJoinToken(await server.token('planner'));
  const token = formatJoinToken({ ...real, address: `127.0.0.1:${port}` });
  await assert.rejects(connect({ token }), (error) => isWritError(error, 'bad_certificate') && error.field === 'token');
  assert.match(heard, /^GET \/v1\/trust\/root\.pem HTTP\/1\.1\r\n/);
  assert.equal(heard.split('\r\n\r\n').filter(Boolean).length, 1);
  assert.ok(!heard.includes(token.slice(20, 60)));
  impostor.close();
});

test('the right root does not help a server that is not the authority’s own', async () => {
  const root = testAuthority();
  const other = root.leaf({ uri: 'spiffe://writ.internal/service/db/1', dns: ['localhost'], loopback: true });
  let heard = '';
  const impostor = createServer({ key: other.keyPem, cert: other.pem }, (socket) => {
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      heard += String(chunk);
      socket.end(`HTTP/1.1 200 OK\r\nContent-Length: ${root.pem.length}\r\n\r\n${root.pem}`);
    });
  });
  await once(impostor.listen(0, '127.0.0.1'), 'listening');
  const { port } = impostor.address() as AddressInfo;
  const rootFingerprint = Buffer.from(new X509Certificate(root.pem).fingerprint256.replaceAll(':', ''), 'hex');
  const real = parseJoinToken(await server.token('planner'));
  const token = formatJoinToken({ ...real, rootFingerprint, address: `127.0.0.1:${port}` });
  await assert.rejects(
    connect({ token }),
    (error) => isWritError(error, 'denied') && error.message.includes('/service/db/1'),
  );
  assert.ok(!heard.includes('/v1/enrol'));
  impostor.close();
});

test('nobody there: said plainly, with the address', async () => {
  const real = parseJoinToken(await server.token('planner'));
  const token = formatJoinToken({ ...real, address: '127.0.0.1:1' });
  await assert.rejects(
    connect({ token }),
    (error) => isWritError(error, 'unavailable') && /127\.0\.0\.1:1 is not there: nothing listens/.test(error.message),
  );
});

test('a revoked certificate ends the identity at the next renewal', async () => {
  using identity = await connect({ token: await server.token('planner') });
  const ended = once(identity, 'ended');
  await server.json('cert', 'revoke', identity.credential.serial, '--cause', 'key_theft');
  await assert.rejects(identity.renew(), (error) => isWritError(error, 'revoked'));
  assert.ok(isWritError((await ended)[0], 'revoked'));
});

test('an instance stops itself; its name is burnt', async () => {
  const identity = await connect({ token: await server.token('planner') });
  await identity.stop();
  const id = instanceOf(identity.spiffeId);
  const { status } = await server.json<{ status: string }>('instance', 'show', id);
  assert.equal(status, 'stopped');
  const [certificate] = (
    await server.json<{ items: { status: string; cause: string }[] }>('cert', 'list', '--instance', id)
  ).items;
  assert.deepEqual([certificate!.status, certificate!.cause], ['revoked', 'task_completed']);
});

test('a service gets its certificate the same way', async () => {
  using identity = await connect({ token: await server.token('ledger-db', 'service') });
  assert.match(identity.spiffeId, /\/service\/ledger-db\//);
});

test('a store outlives the program, with what was renewed; a dead one is left for a new token', async () => {
  const store = join(server.scratch, 'planner-store');
  const tokenFile = join(server.scratch, 'token');
  writeFileSync(tokenFile, await server.token('planner'));
  const first = await connect({ tokenFile, store });
  const saved = (): string =>
    (JSON.parse(readFileSync(join(store, 'identity.json'), 'utf8')) as Saved).credential.serial;
  assert.equal(saved(), first.credential.serial);
  const { serial } = await first.renew();
  for (let i = 0; saved() !== serial && i < 100; i++) await new Promise((resolve) => setTimeout(resolve, 20));
  first.close();
  const again = await connect({ tokenFile, store });
  assert.deepEqual([again.spiffeId, again.credential.serial], [first.spiffeId, serial]);
  await again.renew();
  await again.stop('key_theft');
  // It has not expired, but nobody takes it any more.
  await assert.rejects(connect({ store }), (error) => isWritError(error, 'bad_token'));
  const anew = await connect({ token: await server.token('planner'), store });
  assert.notEqual(anew.spiffeId, first.spiffeId);
  anew.close();
  chmodSync(join(store, 'identity.json'), 0o644);
  await assert.rejects(connect({ store }), (error) => isWritError(error, 'unsafe_permissions'));
});

interface Saved {
  readonly credential: { readonly serial: string };
}

test('a stored identity starts without its authority, and one that has expired does not', async () => {
  const store = join(server.scratch, 'offline-store');
  const first = await connect({ token: await server.token('planner'), store });
  first.close();
  const file = join(store, 'identity.json');
  const stored = JSON.parse(readFileSync(file, 'utf8')) as { home: { server: string } };
  writeFileSync(file, JSON.stringify({ ...stored, home: { ...stored.home, server: 'https://127.0.0.1:1' } }));
  const again = await connect({ store });
  assert.equal(again.spiffeId, first.spiffeId);
  again.close();
  const later = { now: () => first.credential.notAfter };
  await assert.rejects(connect({ store, clock: later }), (error) => isWritError(error, 'bad_token'));
});

test('a stored identity that this clock has in the future is renewed at once, since nobody knows what is left of it', async () => {
  const store = join(server.scratch, 'behind-store');
  const first = await connect({ token: await server.token('planner'), store });
  first.close();
  const again = await connect({ store, clock: { now: () => Date.now() - 3 * 3_600_000 } });
  if (again.credential.serial === first.credential.serial) await once(again, 'renewed');
  assert.notEqual(again.credential.serial, first.credential.serial);
  assert.equal(again.spiffeId, first.spiffeId);
  again.close();
});
