/** A service that runs many agents in one process: an identity for each, by its own name for it, and how each of them ends. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { Daemon } from '../../src/agent/daemon.ts';
import { type ErrorCode, isWritError } from '../../src/base/error.ts';
import { childrenOf } from '../../src/sdk/enrolment/children.ts';
import { connect } from '../../src/sdk/enrolment/connect.ts';
import type { Identity } from '../../src/sdk/identity/identity.ts';
import { jwtSvidsOf } from '../../src/sdk/jwt-svid.ts';
import { peerOf } from '../../src/sdk/peer/peer.ts';
import { createVerifier } from '../../src/sdk/verifier/verifier.ts';
import { fromWorkloadApi } from '../../src/sdk/workload-api/identity.ts';
import { testServer } from '../server.ts';

const server = await testServer();
const closing: (() => unknown)[] = [];
after(async () => {
  for (const close of closing.reverse()) await close();
});
const TOOLS = 'a'.repeat(64);
const code = (wanted: ErrorCode) => (error: unknown) => isWritError(error, wanted);
const instanceOf = (id: string): string => id.split('/').at(-1)!;
const statusOf = async (id: string): Promise<string> =>
  (await server.json<{ status: string }>('instance', 'show', instanceOf(id))).status;

async function until(what: () => boolean | Promise<boolean>, told: string = String(what)): Promise<void> {
  const late = performance.now() + 60_000;
  while (!(await what())) {
    assert.ok(performance.now() < late, `not in time: ${told}`);
    await new Promise((then) => setTimeout(then, 20));
  }
}

async function orchestrator(): Promise<Identity> {
  const identity = await connect({ token: await server.token('crew', 'service') });
  closing.push(() => identity.close());
  return identity;
}

for (const name of ['planner', 'critic']) await server.token(name);
const first = await orchestrator();
await server.json(
  ...(['entry', 'create', 'planner', '--node', 'crew', '--match', 'parent:reference=trip-*'] as const),
  ...(['--workflow', 'trips', '--scope', 'plan'] as const),
);

test('each agent of a process has an identity of its own, with which it speaks for itself', async () => {
  const children = childrenOf(first);
  closing.push(() => children.close());
  const [one, two] = await Promise.all(
    ['trip-1', 'trip-2'].map((reference) => children.start({ agent: 'planner', reference, workflow: 'trips' })),
  );
  assert.notEqual(one!.spiffeId, two!.spiffeId);
  assert.equal(children.size, 2);
  assert.equal(await children.start({ agent: 'planner', reference: 'trip-1' }), one);
  const { parent, attestation, reference } = await server.json('instance', 'show', instanceOf(one!.spiffeId));
  assert.deepEqual([parent, attestation, reference], [instanceOf(first.spiffeId), 'parent', 'trip-1']);

  const db = await connect({ token: await server.token('db', 'service') });
  const verifier = createVerifier({ identity: db, mode: 'strict' });
  await verifier.ready(AbortSignal.timeout(20_000));
  const listener = createServer(
    verifier.serverOptions(),
    verifier.guard((request, response) => response.end(peerOf(request.socket as never)?.uri), {
      allow: 'agent/planner/*',
    }),
  );
  await once(listener.listen(0, '127.0.0.1'), 'listening');
  closing.push(() => {
    listener.close();
    listener.closeAllConnections();
    verifier.close();
    db.close();
  });
  const url = `https://127.0.0.1:${(listener.address() as AddressInfo).port}`;
  const asks = async (child: Identity): Promise<string> => (await child.fetch({ allow: 'service/db/*' })(url)).text();
  assert.deepEqual(await Promise.all([one!, two!].map(asks)), [one!.spiffeId, two!.spiffeId]);
  const token = await jwtSvidsOf(one!)('reports');
  assert.equal(token.spiffeId, one!.spiffeId);

  // Through renewals of both, and stopped one by one.
  const { serial } = one!.credential;
  await Promise.all([one!.renew(), first.renew()]);
  assert.notEqual(one!.credential.serial, serial);
  assert.equal(await asks(one!), one!.spiffeId);
  await one!.renew();
  await one!.stop();
  assert.equal(await statusOf(one!.spiffeId), 'stopped');
  assert.equal(await asks(two!), two!.spiffeId);
  assert.equal(children.get('trip-1'), undefined);
  await assert.rejects(children.start({ agent: 'planner', reference: 'trip-1' }), code('revoked'));
  await until(async () => (await one!.fetch({ allow: 'service/db/*' })(url)).status !== 200, 'refused by its peer');
});

test('a lost answer is asked for again, and gives the same instance', async () => {
  const before = childrenOf(first);
  const one = await before.start({ agent: 'planner', reference: 'trip-3' });
  before.close();
  const children = childrenOf(first);
  closing.push(() => children.close());
  const again = await children.start({ agent: 'planner', reference: 'trip-3' });
  assert.equal(again.spiffeId, one.spiffeId);
  assert.notEqual(again.credential.serial, one.credential.serial);
  await assert.rejects(before.start({ agent: 'planner', reference: 'trip-4' }), code('unavailable'));
});

test('nobody is let in whom no entry for the service names, and nobody reaches the instances of another', async () => {
  const children = childrenOf(first);
  const mine = await children.start({ agent: 'planner', reference: 'trip-5' });
  for (const [options, wanted] of [
    [{ agent: 'critic', reference: 'trip-6' }, 'denied'],
    [{ agent: 'planner', reference: 'task-1' }, 'denied'],
    [{ agent: 'planner', reference: 'trip-7', workflow: 'billing' }, 'denied'],
    [{ agent: 'planner', reference: 'trip-7', scopes: ['admin'] }, 'denied'],
    [{ agent: 'planner', reference: 'two words' }, 'bad_request'],
    [{ agent: 'critic', reference: 'trip-5' }, 'conflict'],
  ] as const) {
    await assert.rejects(children.start(options), code(wanted), JSON.stringify(options));
  }
  children.close();
  const other = await orchestrator();
  const theirs = childrenOf(other);
  closing.push(() => theirs.close());
  const same = await theirs.start({ agent: 'planner', reference: 'trip-5' });
  assert.notEqual(same.spiffeId, mine.spiffeId);
  const stranger = await connect({ token: await server.token('bank', 'service') });
  closing.push(() => stranger.close());
  await assert.rejects(childrenOf(stranger).start({ agent: 'planner', reference: 'trip-5' }), code('denied'));
  // One below is no way to one beside, or above.
  await assert.rejects(childrenOf(same).start({ agent: 'planner', reference: 'trip-9' }), code('denied'));
  const call = same.fetch({ allow: 'writ/server' });
  for (const path of [
    `/v1/workloads/${instanceOf(mine.spiffeId)}/renew`,
    `/v1/instances/${instanceOf(mine.spiffeId)}/stop`,
  ]) {
    const answer = await call(`${server.api}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'idempotency-key': 'k'.repeat(20) },
      body: JSON.stringify(path.endsWith('stop') ? { cause: 'task_completed' } : { csr: await csrOf() }),
    });
    assert.equal(answer.status, 403, path);
  }
  assert.equal(await statusOf(mine.spiffeId), 'active');
});

async function csrOf(): Promise<string> {
  const { csrFor, newKey } = await import('../../src/sdk/identity/credential.ts');
  return csrFor(newKey(first.roots[0]!));
}

test('what it runs is said with each renewal; what has changed is held', async () => {
  const children = childrenOf(first);
  closing.push(() => children.close());
  let tools = TOOLS;
  const child = await children.start({
    ...{ agent: 'planner', reference: 'trip-20', runtime: () => ({ tools_sha256: tools }) },
  });
  await child.renew();
  tools = 'b'.repeat(64);
  await assert.rejects(child.renew(), code('inactive'));
  assert.equal(await statusOf(child.spiffeId), 'quarantined');
  await assert.rejects(childrenOf(first).start({ agent: 'planner', reference: 'trip-20' }), code('inactive'));
});

test('all fall with their parent, whoever ends it', async () => {
  for (const end of [
    (parent: Identity): Promise<unknown> => parent.stop(),
    async (parent: Identity): Promise<unknown> => {
      await server.json('instance', 'stop', instanceOf(parent.spiffeId), '--yes');
      return parent.renew().catch(() => undefined);
    },
  ]) {
    const parent = await orchestrator();
    const children = childrenOf(parent);
    const all = await Promise.all(
      ['trip-1', 'trip-2'].map((reference) => children.start({ agent: 'planner', reference })),
    );
    const ended = Promise.all(all.map((child) => once(child, 'ended')));
    await end(parent);
    await ended;
    for (const child of all) {
      assert.throws(() => child.credential, code('revoked'));
      await until(async () => (await statusOf(child.spiffeId)) === 'stopped');
    }
    assert.equal(children.size, 0);
    await assert.rejects(children.start({ agent: 'planner', reference: 'trip-3' }), code('unavailable'));
  }
});

test('an orchestrator that has its own identity of the Workload API loses them with it, and has them again', async () => {
  const node = await connect({ token: await server.token('box', 'service') });
  const socket = join(server.scratch, 'api', 'api.sock');
  const daemon = await Daemon.start({ identity: node, socket, admin: join(server.scratch, 'admin', 'admin.sock') });
  closing.push(
    () => node.close(),
    () => daemon.close(),
  );
  await server.json('entry', 'create', 'crew', '--node', 'box', '--match', `unix:uid=${process.geteuid!()}`);
  await daemon.refresh();
  await daemon.verifier.ready(AbortSignal.timeout(20_000));
  const parent = await fromWorkloadApi({ socket });
  closing.push(() => parent.close());
  assert.throws(() => childrenOf(parent), code('bad_config'));
  const children = childrenOf(parent, { server: server.api });
  const child = await children.start({ agent: 'planner', reference: 'trip-1' });
  const id = child.spiffeId;
  const hold = ['--cause', 'clone_detected', '--quarantine', '--yes'];
  const ended = once(child, 'ended');
  const { id: stop } = await server.json<{ id: string }>('stop', 'instance', instanceOf(parent.spiffeId), ...hold);
  await ended;
  assert.throws(() => child.credential, code('denied'));
  await assert.rejects(children.start({ agent: 'planner', reference: 'trip-2' }), code('denied'));
  await server.json('release', stop, '--here');
  await until(() => {
    try {
      return child.credential.spiffeId === id;
    } catch {
      return false;
    }
  }, 'shown again');
  await until(
    () =>
      child.renew().then(
        () => true,
        () => false,
      ),
    'renewed again',
  );
});
