/** What the Workload API may say and do, against a daemon that does as it is told. The real one: `test/journeys/`. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { after, test } from 'node:test';
import { until } from '../../../test/feed.ts';
import { isWritError } from '../../base/error.ts';
import { type Issuer, issuer } from '../identity/testdata/identities.ts';
import { parseWorkloadEndpoint } from './endpoint.ts';
import { fromWorkloadApi, type WorkloadApiOptions, type WorkloadIdentity } from './identity.ts';
import { credentialOf, pemsOf } from './svid.ts';
import { svidOf, type TestDaemon, testDaemon } from './testdata/daemon.ts';

const made: Issuer = issuer();
const closing: (() => unknown)[] = [];
after(async () => {
  for (const close of closing.reverse()) await close();
});
const code = (wanted: string) => (error: unknown) => isWritError(error) && error.code === wanted;

async function daemon(): Promise<TestDaemon> {
  const started = await testDaemon();
  closing.push(() => started.close());
  return started;
}

async function identityOf(from: TestDaemon, options: WorkloadApiOptions = {}): Promise<WorkloadIdentity> {
  const identity = await fromWorkloadApi({ socket: `unix://${from.socket}`, random: () => 0, ...options });
  closing.push(() => identity.close());
  return identity;
}

test('follows the stream: the newest certificate and roots, told once each', async () => {
  const from = await daemon();
  const first = made.credential('agent/planner/1');
  from.say({ svids: [svidOf(first, 'a'), svidOf(made.credential('agent/reader/1'), 'b')] });
  const identity = await identityOf(from);
  assert.equal(identity.spiffeId, first.spiffeId);
  assert.equal(identity.credential.certificate, first.certificate);
  assert.deepEqual(identity.credential.chain, first.chain);
  assert.deepEqual(identity.roots, first.roots);
  assert.deepEqual(from.metadata, ['true']);
  const renewed: string[] = [];
  identity.on('renewed', ({ serial }) => renewed.push(serial));
  // The same once more is nothing new.
  from.say({ svids: [svidOf(first, 'a')] });
  const next = made.credential('agent/planner/1');
  from.say({ svids: [svidOf(next, 'a')], federated_bundles: { 'spiffe://partner.example': svidOf(first).bundle } });
  await until(() => renewed.length > 0);
  assert.equal(identity.credential.certificate, next.certificate);
  assert.ok(identity.credential.key.equals(next.key));
  assert.deepEqual([...identity.federated], [['partner.example', first.roots]]);
  assert.equal(renewed.length, 1);
});

test('of several identities the one with the hint', async () => {
  const from = await daemon();
  const [one, two] = [made.credential('agent/planner/1'), made.credential('agent/reader/1')];
  from.say({ svids: [svidOf(one, 'one'), svidOf(two, 'two')] });
  assert.equal((await identityOf(from, { hint: 'two' })).spiffeId, two.spiffeId);
  await assert.rejects(fromWorkloadApi({ socket: from.socket, hint: 'three', timeout: 200 }), code('denied'));
});

test('what was taken back is shown no more, and shown again when it is given', async () => {
  const from = await daemon();
  from.say({ svids: [svidOf(made.credential('agent/planner/1'))] });
  const identity = await identityOf(from);
  const peer = made.identity('service/db/1');
  closing.push(() => peer.close());
  const allow = ['agent/planner/*', 'service/db/*'];
  const server = createServer(identity.serverOptions(), (_, answer) => answer.end('yes'));
  identity.protect(server, { allow });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  closing.push(() => {
    server.close();
    server.closeAllConnections();
  });
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const own = identity.fetch({ allow });
  assert.equal(await (await peer.fetch({ allow })(url)).text(), 'yes');
  assert.equal(await (await own(url)).text(), 'yes');
  const events: string[] = [];
  identity.on('ended', (error) => events.push(`ended ${isWritError(error) ? error.code : error}`));
  identity.on('renewed', () => events.push('renewed'));
  from.end('permission_denied');
  await until(() => events.length === 1);
  assert.throws(() => identity.credential, code('denied'));
  assert.throws(() => identity.clientOptions({ allow }), code('denied'));
  assert.throws(() => identity.serverOptions(), code('denied'));
  await assert.rejects(own(url), code('denied'));
  await assert.rejects(peer.fetch({ allow })(url));
  from.say({ svids: [svidOf(made.credential('agent/planner/1'))] });
  await until(() => events.length === 2);
  assert.equal(await (await peer.fetch({ allow })(url)).text(), 'yes');
  assert.equal(await (await own(url)).text(), 'yes');
  // An empty set says the same as the refusal (Workload API §5.2).
  from.say({ svids: [] });
  await until(() => events.length === 3);
  assert.deepEqual(events, ['ended denied', 'renewed', 'ended denied']);
});

test('a daemon that goes away harms nobody who runs, and is found again', async () => {
  const from = await daemon();
  const first = made.credential('agent/planner/1');
  from.say({ svids: [svidOf(first)] });
  const identity = await identityOf(from);
  const failures: string[] = [];
  identity.on('failed', (error) => failures.push(isWritError(error) ? error.code : String(error)));
  await from.stop();
  await until(() => failures.length >= 2, 10_000);
  assert.equal(identity.credential.certificate, first.certificate);
  assert.deepEqual([...new Set(failures)], ['unavailable']);
  await from.start();
  const second = made.credential('agent/planner/2');
  from.say({ svids: [svidOf(second)] });
  await until(() => identity.spiffeId === second.spiffeId, 15_000);
});

test('what does not belong together is no identity, and the one that is there stays', async () => {
  const from = await daemon();
  const good = made.credential('agent/planner/1');
  const other = made.credential('agent/planner/1');
  const issuing = made.root.authority('Test Other');
  const spiffeId = 'spiffe://other.example/agent/planner/1';
  const leaf = issuing.leaf({ uri: spiffeId });
  const foreign = { ...good, spiffeId, key: leaf.key, certificate: leaf.pem, chain: [issuing.pem] };
  from.say({ svids: [svidOf(good)] });
  const identity = await identityOf(from);
  const svid = svidOf(good);
  for (const [name, bad] of Object.entries({
    'another key': { ...svid, x509_svid_key: svidOf(other).x509_svid_key },
    'another name': { ...svid, spiffe_id: 'spiffe://agents.example.com/agent/planner/2' },
    'no bundle': { ...svid, bundle: new Uint8Array() },
    'no certificate': { ...svid, x509_svid: new Uint8Array() },
    'a cut certificate': { ...svid, x509_svid: svid.x509_svid.slice(0, -1) },
    'no key': { ...svid, x509_svid_key: new Uint8Array([1, 2, 3]) },
    'another trust domain': svidOf(foreign),
  })) {
    const failed = once(identity, 'failed');
    from.say({ svids: [bad] });
    await failed;
    assert.equal(identity.credential.certificate, good.certificate, name);
    // The call was given up; it is begun again.
    const count = from.streams();
    from.say({ svids: [svid] });
    await until(() => from.streams() > count, 10_000);
  }
  assert.equal(credentialOf(svidOf(foreign)).spiffeId, spiffeId);
});

test('an identity that nobody renews ends with its certificate, by both clocks of the machine', async (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  const from = await daemon();
  const hour = 3_600_000;
  for (const [name, ahead] of [
    ['a clock that is right', 0],
    ['one that is two hours ahead', 2 * hour],
  ] as const) {
    const credential = made.credential('agent/planner/1');
    from.say({ svids: [svidOf(credential)] });
    const now = { wall: Date.now() + ahead, steady: 1000 };
    const clock = { wall: () => now.wall, steady: () => now.steady };
    const identity = await identityOf(from, { clock });
    const ended = once(identity, 'ended');
    // The clock was set, or the time went by where the other clock stood still.
    now.wall += 48 * hour;
    context.mock.timers.tick(60_000);
    assert.doesNotThrow(() => identity.credential, name);
    now.steady += 48 * hour;
    context.mock.timers.tick(60_000);
    assert.ok(code('expired')((await ended)[0]), name);
    assert.throws(() => identity.credential, code('expired'));
    identity.close();
  }
});

test('no daemon, no identity, no address: each is told apart', async () => {
  const from = await daemon();
  from.end('permission_denied');
  const denied = fromWorkloadApi({ socket: from.socket, timeout: 300 });
  await assert.rejects(
    denied,
    (error) => code('denied')(error) && /writ agent why/.test((error as { remedy: string }).remedy),
  );
  const gone = fromWorkloadApi({ socket: `${from.socket}.none`, timeout: 300 });
  await assert.rejects(gone, code('unavailable'));
  from.end('invalid_argument');
  await assert.rejects(fromWorkloadApi({ socket: from.socket }), code('bad_request'));
  const { SPIFFE_ENDPOINT_SOCKET: before } = process.env;
  try {
    delete process.env['SPIFFE_ENDPOINT_SOCKET'];
    await assert.rejects(fromWorkloadApi(), code('bad_config'));
    process.env['SPIFFE_ENDPOINT_SOCKET'] = 'unix://relative/path';
    await assert.rejects(fromWorkloadApi(), (error) => isWritError(error) && error.field === 'SPIFFE_ENDPOINT_SOCKET');
    process.env['SPIFFE_ENDPOINT_SOCKET'] = `unix://${from.socket}`;
    from.say({ svids: [svidOf(made.credential('agent/planner/1'))] });
    (await fromWorkloadApi()).close();
  } finally {
    if (before === undefined) delete process.env['SPIFFE_ENDPOINT_SOCKET'];
    else process.env['SPIFFE_ENDPOINT_SOCKET'] = before;
  }
});

test('addresses as the standard has them (SPIFFE Workload Endpoint §4)', () => {
  for (const [text, want] of [
    ['unix:///run/writ-agent/api.sock', { path: '/run/writ-agent/api.sock' }],
    ['unix:/run/api.sock', { path: '/run/api.sock' }],
    ['/run/api.sock', { path: '/run/api.sock' }],
    ['tcp://127.0.0.1:8081', { host: '127.0.0.1', port: 8081 }],
    ['tcp://[::1]:8081', { host: '::1', port: 8081 }],
    ['unix://run/api.sock', undefined],
    ['unix:///run/api.sock?x', undefined],
    ['unix:///', undefined],
    ['tcp://localhost:8081', undefined],
    ['tcp://127.0.0.1', undefined],
    ['tcp://127.0.0.1:8081/path', undefined],
    ['http://127.0.0.1:8081', undefined],
    ['run/api.sock', undefined],
    ['', undefined],
  ] as const) {
    if (want === undefined) assert.throws(() => parseWorkloadEndpoint(text, 'socket'), code('bad_config'), text);
    else assert.deepEqual(parseWorkloadEndpoint(text, 'socket'), want, text);
  }
});

test('a token that is none, or for somebody else, is not handed out', async () => {
  const from = await daemon();
  const credential = made.credential('agent/planner/1');
  from.say({ svids: [svidOf(credential)] });
  const identity = await identityOf(from);
  const payload = Buffer.from(JSON.stringify({ exp: 2_000_000_000 })).toString('base64url');
  const token = { spiffe_id: credential.spiffeId, svid: `e30.${payload}.e30` };
  from.token = ({ audience, spiffe_id }) => {
    assert.deepEqual([audience, spiffe_id], [['books'], credential.spiffeId]);
    return [token];
  };
  assert.deepEqual(await identity.fetchJwtSvid('books'), {
    ...{ token: token.svid, spiffeId: credential.spiffeId, expiresAt: 2_000_000_000_000 },
  });
  for (const given of [[], [{ ...token, spiffe_id: `${credential.spiffeId}x` }], [{ ...token, svid: 'nothing' }]]) {
    from.token = () => given;
    await assert.rejects(identity.fetchJwtSvid(['books']), code('internal'));
  }
  from.end('permission_denied');
  await once(identity, 'ended');
  await assert.rejects(identity.fetchJwtSvid('books'), code('denied'));
});

test('a bundle is as many certificates as it has', () => {
  const { roots, chain } = made.credential('agent/planner/1');
  const der = Buffer.concat([svidOf({ ...made.credential('agent/planner/1'), roots: [...roots, ...chain] }).bundle]);
  assert.deepEqual(pemsOf(der), [...roots, ...chain]);
});
