/** The daemon on a real socket, asked by a foreign client; identities of a real authority. */
import assert from 'node:assert/strict';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { status } from '@grpc/grpc-js';
import { testServer } from '../../test/server.ts';
import { WritError } from '../base/error.ts';
import { connect } from '../sdk/enrolment/connect.ts';
import { Daemon, type DaemonOptions } from './daemon.ts';
import { ask, header, readStream, type WorkloadStub, workloadStub } from './testdata/client.ts';
import { testNodeServer } from './testdata/node-server.ts';

const server = await testServer();
const node = await connect({ token: await server.token('box', 'service') });
// Each of these daemons listens to it.
node.setMaxListeners(100);
const scratch = mkdtempSync(join(tmpdir(), 'writ-agent-'));
const closing: (() => unknown)[] = [() => node.close(), () => rmSync(scratch, { recursive: true, force: true })];
after(async () => {
  for (const close of closing.reverse()) await close();
});

let count = 0;
const me = [`unix:uid=${process.geteuid!()}`];

async function started(options: Partial<DaemonOptions> = {}) {
  const directory = join(scratch, String(count++));
  const own = testNodeServer(server);
  own.set([{ match: me }]);
  const socket = join(directory, 'api.sock');
  const daemon = await Daemon.start({
    ...{ identity: node, socket, admin: join(`${directory}-admin`, 'api.sock'), server: own, ...options },
  });
  closing.push(() => daemon.close());
  // Lists of a server that has just begun come a moment later, and would be a message of their own.
  await daemon.refresh();
  const stub = (): WorkloadStub => {
    const made = workloadStub(socket);
    closing.push(() => made.close());
    return made;
  };
  return { daemon, own, socket, stub };
}

test('a caller gets its X.509-SVID, key and bundle, and again when it is renewed', async () => {
  const { daemon, own, stub } = await started();
  const stream = readStream(stub().FetchX509SVID({}, header()));
  const [first] = await stream.count(1);
  const [svid] = first!.svids;
  assert.match(svid!.spiffe_id, /\/agent\/planner\/[0-9a-z]{26}$/);
  const leaf = new X509Certificate(svid!.x509_svid);
  assert.ok(leaf.subjectAltName?.includes(svid!.spiffe_id));
  assert.ok(leaf.checkPrivateKey(createPrivateKey({ key: svid!.x509_svid_key, format: 'der', type: 'pkcs8' })));
  assert.ok(new X509Certificate(svid!.bundle).ca);
  assert.deepEqual(
    own.enrolled.map(({ facts }) => facts['unix:uid']),
    [[String(process.geteuid!())]],
  );
  assert.match(own.enrolled[0]!.process, new RegExp(`^pid ${process.pid}, started 20`));

  await [...daemon.workloads.children][0]!.renew();
  const second = await stream.find(({ svids }) => !svids[0]!.x509_svid.equals(svid!.x509_svid));
  assert.equal(second.svids[0]!.spiffe_id, svid!.spiffe_id);
  assert.notDeepEqual(second!.svids[0]!.x509_svid, svid!.x509_svid);
  assert.notDeepEqual(second!.svids[0]!.x509_svid_key, svid!.x509_svid_key);
  assert.deepEqual(own.renewed[0]!.facts?.['unix:uid'], [String(process.geteuid!())]);
  stream.cancel();
});

test('without the static metadata nothing is answered', async () => {
  const { stub } = await started();
  for (const given of [{}, { 'workload.spiffe.io': 'True' }, { 'workload.spiffe.io': '1' }]) {
    const { code } = await readStream(stub().FetchX509SVID({}, header(given))).ended;
    assert.equal(code, status.INVALID_ARGUMENT);
    await assert.rejects(ask(stub(), stub().FetchJWTSVID, { audience: ['a'] }, header(given)), {
      code: status.INVALID_ARGUMENT,
    });
  }
});

test('whoever matches no entry is denied, and let in as soon as one matches', async () => {
  const { daemon, own, stub } = await started();
  own.set([{ match: ['unix:uid=1', 'unix:path=/nowhere'] }]);
  await daemon.refresh();
  assert.equal((await readStream(stub().FetchX509SVID({}, header())).ended).code, status.PERMISSION_DENIED);
  own.set([{ match: me }]);
  await new Promise((then) => setTimeout(then, 1100));
  const stream = readStream(stub().FetchX509SVID({}, header()));
  assert.equal((await stream.count(1))[0]!.svids.length, 1);
  stream.cancel();
});

test('a stopped instance is redacted at once, and does not come back by asking again', async () => {
  const { daemon, own, stub } = await started();
  own.set([
    { id: '01jd0000000000000000000001', match: me, name: 'planner', hint: 'one' },
    { id: '01jd0000000000000000000002', match: me, name: 'reader', hint: 'two' },
  ]);
  await daemon.refresh();
  const stream = readStream(stub().FetchX509SVID({}, header()));
  const [first] = await stream.count(1);
  assert.deepEqual(
    first!.svids.map(({ hint }) => hint),
    ['one', 'two'],
  );
  await daemon.verifier.ready(AbortSignal.timeout(5000));
  const [planner, reader] = [...daemon.workloads.children];
  await server.json('instance', 'stop', planner!.instance, '--yes');
  const second = await stream.find(({ svids }) => svids.length === 1);
  assert.deepEqual(
    second.svids.map(({ spiffe_id }) => spiffe_id),
    [reader!.spiffeId],
  );
  const again = readStream(stub().FetchX509SVID({}, header()));
  assert.equal((await again.count(1))[0]!.svids.length, 1);
  assert.equal(own.enrolled.length, 2);
  await server.json('instance', 'stop', reader!.instance, '--yes');
  for (const one of [stream, again]) assert.equal((await one.ended).code, status.PERMISSION_DENIED);
  for (const { refused } of (await daemon.why(process.pid)).entries) assert.match(refused!, /one that is started anew/);
});

test('JWT-SVIDs: for one or all identities, kept, and validated by the daemon', async () => {
  const { daemon, own, stub } = await started();
  const client = stub();
  const { svids } = await ask(client, client.FetchJWTSVID, { audience: ['books', 'bank'] });
  assert.equal(svids.length, 1);
  await ask(client, client.FetchJWTSVID, { audience: ['bank', 'books'] });
  assert.equal(own.tokens.count, 1);
  await ask(client, client.FetchJWTSVID, { audience: ['bank'] });
  assert.equal(own.tokens.count, 2);
  const { spiffe_id, claims } = await ask(client, client.ValidateJWTSVID, { audience: 'bank', svid: svids[0]!.svid });
  assert.equal(spiffe_id, [...daemon.workloads.children][0]!.spiffeId);
  assert.ok('sub' in claims.fields && 'exp' in claims.fields);
  for (const [asked, code] of [
    [{ audience: [] }, status.INVALID_ARGUMENT],
    [{ audience: Array(9).fill('a') }, status.INVALID_ARGUMENT],
    [{ audience: ['a'.repeat(513)] }, status.INVALID_ARGUMENT],
    [{ audience: ['a\nb'] }, status.INVALID_ARGUMENT],
    [{ audience: ['a'], spiffe_id: 'spiffe://other.example/agent/x/y' }, status.PERMISSION_DENIED],
  ] as const) {
    await assert.rejects(ask(client, client.FetchJWTSVID, asked), { code });
  }
  for (const asked of [
    { audience: 'other', svid: svids[0]!.svid },
    { audience: 'bank', svid: `${svids[0]!.svid.slice(0, -8)}AAAAAAAA` },
    { audience: '', svid: svids[0]!.svid },
    { audience: 'bank', svid: '' },
  ]) {
    await assert.rejects(ask(client, client.ValidateJWTSVID, asked), { code: status.INVALID_ARGUMENT });
  }
  const bundles = readStream(client.FetchJWTBundles({}, header()));
  const [first] = await bundles.count(1);
  const [[domain, jwks]] = Object.entries(first!.bundles) as [[string, Buffer]];
  assert.equal(domain, `spiffe://${node.trustDomain}`);
  assert.deepEqual(
    (JSON.parse(jwks.toString()) as { keys: object[] }).keys.map((key) => Object.keys(key).sort()),
    [['crv', 'kid', 'kty', 'x', 'y']],
  );
  bundles.cancel();
});

test('whoever is stopped while the server signs gets no token', async () => {
  const { daemon, own, stub } = await started();
  const token = own.token.bind(own);
  Object.assign(own, {
    token: async (...given: Parameters<typeof token>) => {
      const signed = await token(...given);
      for (const child of daemon.workloads.children) child.finish('stopped');
      return signed;
    },
  });
  const client = stub();
  await assert.rejects(ask(client, client.FetchJWTSVID, { audience: ['bank'] }), { code: status.PERMISSION_DENIED });
  assert.equal(own.tokens.count, 1);
});

test('a JWT-SVID of an instance that was stopped is not valid any more, though it has not expired', async () => {
  const { daemon, own, stub } = await started();
  own.set([
    { id: '01jd0000000000000000000001', match: me, name: 'planner' },
    { id: '01jd0000000000000000000002', match: me, name: 'reader' },
  ]);
  await daemon.refresh();
  const client = stub();
  const { svids } = await ask(client, client.FetchJWTSVID, { audience: ['bank'] });
  await daemon.verifier.ready(AbortSignal.timeout(20_000));
  const [planner, reader] = svids.map(
    ({ svid }) =>
      () =>
        ask(client, client.ValidateJWTSVID, { audience: 'bank', svid }),
  );
  await planner!();
  await server.json('instance', 'stop', svids[0]!.spiffe_id.split('/').at(-1)!, '--yes');
  const late = performance.now() + 20_000;
  while (daemon.workloads.children.size > 1 && performance.now() < late)
    await new Promise((then) => setTimeout(then, 20));
  await assert.rejects(planner!(), { code: status.INVALID_ARGUMENT, details: /its bearer is stopped/ });
  await reader!();
});

test('while the server is silent nothing changes for who runs, and newcomers are told to try again', async () => {
  const { daemon, own, stub } = await started();
  const stream = readStream(stub().FetchX509SVID({}, header()));
  const before = (await stream.count(1))[0]!.svids[0]!.spiffe_id;
  own.fail = new WritError('unavailable', 'gone');
  await [...daemon.workloads.children][0]!.renew();
  const again = readStream(stub().FetchX509SVID({}, header()));
  await again.count(1);
  own.fail = undefined;
  own.set([{ id: '01jd0000000000000000000009', match: me }]);
  await daemon.refresh();
  await stream.find(({ svids }) => svids[0]!.spiffe_id !== before);
  own.fail = new WritError('unavailable', 'gone');
  assert.equal([...daemon.workloads.children].length, 1);
  const { daemon: newcomer, own: silent, stub: other } = await started();
  silent.fail = new WritError('unavailable', 'gone');
  await newcomer.refresh();
  const [matching] = (await newcomer.why(process.pid)).entries;
  assert.deepEqual(matching!.missing, []);
  assert.match(matching!.refused!, /the server does not answer/);
  assert.equal((await readStream(other().FetchX509SVID({}, header())).ended).code, status.UNAVAILABLE);
  stream.cancel();
  again.cancel();
});

test('a server that hangs over another identity keeps nothing from who has one', async () => {
  const { daemon, own, stub } = await started();
  const first = { id: '01jd0000000000000000000001', match: me, name: 'planner' };
  own.set([first]);
  await daemon.refresh();
  const client = stub();
  const stream = readStream(client.FetchX509SVID({}, header()));
  await stream.count(1);
  const enrol = own.enrol.bind(own);
  let answer = (): void => {};
  const hangs = new Promise<void>((then) => {
    answer = then;
  });
  Object.assign(own, {
    enrol: async (...given: Parameters<typeof enrol>) => {
      await hangs;
      return enrol(...given);
    },
  });
  own.set([first, { id: '01jd0000000000000000000002', match: me, name: 'reader' }]);
  await daemon.refresh();
  const [planner] = daemon.workloads.children;
  const { certificate } = planner!.credential;
  await planner!.renew();
  assert.notEqual(planner!.credential.certificate, certificate);
  // It is told of what it has, and given tokens of it.
  const renewed = await stream.count(2);
  assert.deepEqual(Buffer.from(renewed[1]!.svids[0]!.x509_svid), Buffer.from(planner!.svid.x509_svid));
  const { svids } = await ask(client, client.FetchJWTSVID, { audience: ['bank'] });
  assert.deepEqual(
    svids.map(({ spiffe_id }) => spiffe_id),
    [planner!.spiffeId],
  );
  answer();
  await stream.find(({ svids }) => svids.length === 2);
  stream.cancel();
});

test('bundles of other trust domains go to whom an entry names them', async () => {
  const { daemon, own, stub } = await started();
  const der = new X509Certificate(node.credential.roots[0]!).raw;
  const theirs = { authorities: [der], jwtKeys: [], keys: [] };
  own.others = new Map([
    ['partner.example', theirs],
    ['stranger.example', theirs],
    [node.trustDomain, theirs],
  ]);
  own.set([{ match: me, federates_with: ['partner.example', 'unknown.example'] }]);
  await daemon.refresh();
  const stream = readStream(stub().FetchX509SVID({}, header()));
  const [first] = await stream.count(1);
  assert.deepEqual(Object.keys(first!.federated_bundles), ['spiffe://partner.example']);
  assert.ok(first!.crl.length > 0);
  const bundles = readStream(stub().FetchX509Bundles({}, header()));
  const [answer] = await bundles.count(1);
  assert.deepEqual(
    Object.keys(answer!.bundles).sort(),
    [`spiffe://${node.trustDomain}`, 'spiffe://partner.example'].sort(),
  );
  // Another entry: its bundles are asked for as soon as it is known, and not when they are asked for anyway.
  own.set([{ id: '2'.repeat(26), match: me, federates_with: ['stranger.example'] }]);
  await stream.find(({ federated_bundles: all }) => Object.keys(all).join() === 'spiffe://stranger.example', 25_000);
  own.others = new Map();
  await daemon.refresh();
  await stream.find(({ federated_bundles }) => Object.keys(federated_bundles).length === 0);
  stream.cancel();
  bundles.cancel();
});
