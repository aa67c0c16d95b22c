/** The rules of the SPIFFE Workload Endpoint and the SPIFFE Workload API for clients, each with its clause. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, test } from 'node:test';
import { isWritError } from '../../src/base/error.ts';
import { issuer } from '../../src/sdk/identity/testdata/identities.ts';
import { parseWorkloadEndpoint } from '../../src/sdk/workload-api/endpoint.ts';
import {
  fromWorkloadApi,
  type WorkloadApiOptions,
  type WorkloadIdentity,
} from '../../src/sdk/workload-api/identity.ts';
import { svidOf, type TestDaemon, testDaemon } from '../../src/sdk/workload-api/testdata/daemon.ts';
import { until } from '../feed.ts';

const made = issuer();
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

test('Workload Endpoint §3: every request carries the static metadata', async () => {
  const from = await daemon();
  const credential = made.credential('agent/planner/1');
  from.say({ svids: [svidOf(credential)] });
  const identity = await identityOf(from);
  const payload = Buffer.from(JSON.stringify({ exp: 2_000_000_000 })).toString('base64url');
  from.token = () => [{ spiffe_id: credential.spiffeId, svid: `e30.${payload}.e30` }];
  await identity.fetchJwtSvid('books');
  assert.deepEqual(from.metadata, ['true', 'true']);
});

test('Workload Endpoint §4: where nothing is said, SPIFFE_ENDPOINT_SOCKET says where it is', async () => {
  const from = await daemon();
  from.say({ svids: [svidOf(made.credential('agent/planner/1'))] });
  const { SPIFFE_ENDPOINT_SOCKET: before } = process.env;
  try {
    delete process.env['SPIFFE_ENDPOINT_SOCKET'];
    await assert.rejects(fromWorkloadApi(), code('bad_config'));
    process.env['SPIFFE_ENDPOINT_SOCKET'] = `unix://${from.socket}`;
    (await fromWorkloadApi()).close();
    // What the program says counts more.
    process.env['SPIFFE_ENDPOINT_SOCKET'] = `unix://${from.socket}.none`;
    (await fromWorkloadApi({ socket: `unix://${from.socket}` })).close();
  } finally {
    if (before === undefined) delete process.env['SPIFFE_ENDPOINT_SOCKET'];
    else process.env['SPIFFE_ENDPOINT_SOCKET'] = before;
  }
});

test('Workload Endpoint §4: "unix" has an absolute path and nothing else', () => {
  assert.deepEqual(parseWorkloadEndpoint('unix:///run/api.sock', 'x'), { path: '/run/api.sock' });
  assert.deepEqual(parseWorkloadEndpoint('unix:/run/api.sock', 'x'), { path: '/run/api.sock' });
  for (const bad of [
    'unix://run/api.sock',
    'unix:run/api.sock',
    'unix:///',
    'unix://user@/run/api.sock',
    'unix:///run/api.sock?a=b',
    'unix:///run/api.sock#a',
    'http:///run/api.sock',
  ]) {
    assert.throws(() => parseWorkloadEndpoint(bad, 'x'), code('bad_config'), bad);
  }
});

test('Workload Endpoint §4: "tcp" has an IP address and a port, and nothing else', () => {
  assert.deepEqual(parseWorkloadEndpoint('tcp://127.0.0.1:8000', 'x'), { host: '127.0.0.1', port: 8000 });
  assert.deepEqual(parseWorkloadEndpoint('tcp://[::1]:8000', 'x'), { host: '::1', port: 8000 });
  for (const bad of [
    'tcp://localhost:8000',
    'tcp://127.0.0.1',
    'tcp://127.0.0.1:8000/foo',
    'tcp://127.0.0.1:8000/',
    'tcp://127.0.0.1:8000?a',
    'tcp://user@127.0.0.1:8000',
    'tcp://:8000',
  ]) {
    assert.throws(() => parseWorkloadEndpoint(bad, 'x'), code('bad_config'), bad);
  }
});

test('Workload Endpoint §6: after InvalidArgument and Unimplemented nothing is tried again', async () => {
  for (const [status, wanted] of [
    ['invalid_argument', 'bad_request'],
    ['unimplemented', 'bad_config'],
  ] as const) {
    const from = await daemon();
    from.end(status);
    // Far longer than it takes to try again.
    await assert.rejects(fromWorkloadApi({ socket: from.socket, random: () => 0, timeout: 600_000 }), code(wanted));
    assert.equal(from.streams(), 1);
  }
});

test('Workload Endpoint §6: after Unavailable and PermissionDenied it is tried again', async () => {
  for (const status of ['unavailable', 'permission_denied'] as const) {
    const from = await daemon();
    from.end(status);
    const waiting = identityOf(from);
    await until(() => from.streams() >= 2, 20_000);
    const credential = made.credential('agent/planner/1');
    from.say({ svids: [svidOf(credential)] });
    assert.equal((await waiting).spiffeId, credential.spiffeId);
  }
});

test('Workload API §4.2: a connection that was lost is made again', async () => {
  const from = await daemon();
  from.say({ svids: [svidOf(made.credential('agent/planner/1'))] });
  const identity = await identityOf(from);
  const failed = once(identity, 'failed');
  await from.stop();
  await failed;
  await from.start();
  const next = made.credential('agent/planner/1');
  from.say({ svids: [svidOf(next)] });
  await until(() => identity.credential.certificate === next.certificate, 20_000);
});

test('Workload API §4.4: what a message does not have any more is unloaded', async () => {
  const from = await daemon();
  const svid = svidOf(made.credential('agent/planner/1'));
  const federated_bundles = { 'spiffe://one.example': svid.bundle, 'spiffe://two.example': svid.bundle };
  from.say({ svids: [svid], federated_bundles });
  const identity = await identityOf(from);
  const domains = (): string[] => [...identity.federated.keys()];
  assert.deepEqual(domains(), ['one.example', 'two.example']);
  from.say({ svids: [svid], federated_bundles: { 'spiffe://two.example': svid.bundle } });
  await until(() => domains().length === 1, 20_000);
  assert.deepEqual(domains(), ['two.example']);
  from.say({ svids: [svid] });
  await until(() => domains().length === 0, 20_000);
});

test('Workload API §4.5: a message without a mandatory field is reported and discarded', async () => {
  const from = await daemon();
  const svid = svidOf(made.credential('agent/planner/1'));
  from.say({ svids: [svid] });
  const identity = await identityOf(from);
  const { certificate } = identity.credential;
  const empty = new Uint8Array();
  for (const bad of [{ spiffe_id: '' }, { x509_svid: empty }, { x509_svid_key: empty }, { bundle: empty }]) {
    const failed = once(identity, 'failed');
    from.say({ svids: [{ ...svidOf(made.credential('agent/planner/1')), ...bad }] });
    await failed;
    assert.equal(identity.credential.certificate, certificate, JSON.stringify(Object.keys(bad)));
    const count = from.streams();
    from.say({ svids: [svid] });
    await until(() => from.streams() > count, 20_000);
  }
});

test('Workload API §5.2.1: of identities with the same hint the first is taken; §8: without hint the first of all', async () => {
  const from = await daemon();
  const [one, two, three] = ['a', 'b', 'c'].map((name) => made.credential(`agent/${name}/1`));
  from.say({ svids: [svidOf(one!, 'x'), svidOf(two!, 'y'), svidOf(three!, 'y')] });
  assert.equal((await identityOf(from, { hint: 'y' })).spiffeId, two!.spiffeId);
  assert.equal((await identityOf(from)).spiffeId, one!.spiffeId);
});

test('Workload API §5.2.1: identities that are redacted are used no more', async () => {
  const from = await daemon();
  const [one, two] = [made.credential('agent/a/1'), made.credential('agent/b/1')];
  from.say({ svids: [svidOf(one, 'x'), svidOf(two, 'y')] });
  const [first, second] = [await identityOf(from, { hint: 'x' }), await identityOf(from, { hint: 'y' })];
  const ended = once(second, 'ended');
  from.say({ svids: [svidOf(one, 'x')] });
  await ended;
  assert.throws(() => second.credential, code('denied'));
  assert.equal(first.credential.certificate, one.certificate);
  const over = once(first, 'ended');
  from.end('permission_denied');
  await over;
  assert.throws(() => first.credential, code('denied'));
});
