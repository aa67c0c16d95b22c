import assert from 'node:assert/strict';
import { type Engine, onEachEngine } from '../../../test/engines.ts';
import { ADA, callerOf, createInstallation, letIn, register, registered } from '../../../test/installation.ts';
import { type ErrorCode, isWritError } from '../../base/error.ts';
import { idempotencyOf } from '../../http/idempotency.ts';
import { actingFor } from '../../revocation/acting.ts';
import { stopInstance } from '../../revocation/stop-instance.ts';
import { parse } from '../../wire/schema.ts';
import { refusedWorkloads, type WorkloadRefusal } from '../../wire/workload-refusal.ts';
import { recordRefusedWorkloads, refusalLimit } from './refused-workloads.ts';

const code = (wanted: ErrorCode) => (error: unknown) => isWritError(error, wanted);
const isRefused = ({ type }: { readonly type: string }): boolean => type === 'workload.refused';

async function scene(open: Engine['open']) {
  const installation = await createInstallation(await open());
  await register(installation, 'planner');
  await register(installation, 'host', 'service');
  const node = await letIn(installation, { agent: 'host' });
  const { policy, commit, clock } = installation;
  const parts = {
    ...{ authorize: policy.authorize, commit, clock, registered: registered(installation) },
    limit: refusalLimit(),
  };
  const at = (ms: number): string => new Date(clock.now() + ms).toISOString();
  const one: WorkloadRefusal = { fault: 'no-entry', uid: 1000, program: '/opt/one', count: 1, since: at(-1000) };
  const recorded = async () => (await installation.events()).filter(isRefused);
  return { installation, node, caller: callerOf(node), parts, at, one, recorded };
}

onEachEngine('what a node says of callers that it refused is on the ledger, of itself alone', async ({ open }) => {
  const { installation, node, caller, parts, at, one, recorded } = await scene(open);
  const said: WorkloadRefusal[] = [
    { fault: 'ended', count: 7, since: at(3_600_000) },
    one,
    { fault: 'handed-over', uid: 0, count: 1, since: at(-60_000) },
  ];
  assert.equal(await recordRefusedWorkloads(caller, said, parts), 3);
  const events = await recorded();
  const by = { caller: node.id };
  assert.deepEqual(
    events.map(({ body }) => body),
    [
      { ...by, fault: 'handed-over', uid: 0, count: 1, since: at(-60_000) },
      { ...by, ...one },
      // A clock that is ahead is not believed.
      { ...by, fault: 'ended', count: 7, since: at(0) },
    ],
  );
  for (const { subjects } of events) {
    assert.deepEqual([...subjects].sort(), ['agent:host', `instance:${node.instance}`]);
  }
  await installation.close();
});

onEachEngine(
  'a node whose clock shows no time that can be written has its word on the ledger all the same',
  async ({ open }) => {
    const { installation, caller, parts, one, recorded } = await scene(open);
    const said = { refusals: [{ ...one, since: '0000-01-01T00:00:00+23:59' }] };
    await recordRefusedWorkloads(caller, parse(refusedWorkloads, said, 'body').refusals, parts);
    assert.deepEqual(
      (await recorded()).map(({ body }) => body['since']),
      ['1970-01-01T00:00:00.000Z'],
    );
    await installation.close();
  },
);

onEachEngine('what is said twice under one key is on the ledger once', async ({ open }) => {
  const { installation, node, caller, parts, one, recorded } = await scene(open);
  const { database, clock } = installation;
  const path = '/v1/workloads/refusals';
  const body = Buffer.from(JSON.stringify({ refusals: [one] }));
  const given = { caller: node.id, route: `POST ${path}`, key: 'k'.repeat(16), target: path, body };
  const idempotency = () => idempotencyOf(given, database, clock);
  for (let n = 0; n < 3; n++) {
    assert.equal(await recordRefusedWorkloads(caller, [one], parts, { idempotency: idempotency() }), 1);
  }
  assert.equal((await recorded()).length, 1);
  await installation.close();
});

onEachEngine('nobody but a node says whom it refused, and none that was stopped', async ({ open }) => {
  const { installation, node, caller, parts, one, recorded } = await scene(open);
  const planner = callerOf(await letIn(installation, { agent: 'planner' }));
  for (const other of [ADA, planner, { kind: 'anonymous', id: 'anonymous' } as const]) {
    await assert.rejects(recordRefusedWorkloads(other, [one], parts), code('denied'));
  }
  const { issuance, epoch } = installation;
  const acting = await actingFor({ ...caller, asOf: epoch.current() }, issuance, { policy: true });
  await stopInstance(ADA, { instance: node.instance!, cause: 'key_theft' }, issuance);
  await assert.rejects(recordRefusedWorkloads(caller, [one], { ...parts, ...acting }), code('revoked'));
  assert.deepEqual(await recorded(), []);
  await installation.close();
});

onEachEngine('a node that was taken over does not flood the ledger, nor keep others from it', async ({ open }) => {
  const { installation, caller, parts, one, recorded } = await scene(open);
  const many = Array.from({ length: 64 }, (_, uid) => ({ ...one, uid }));
  let told = 0;
  for (let n = 0; n < 20; n++) {
    try {
      told += await recordRefusedWorkloads(caller, many, parts);
    } catch (error) {
      assert.ok(isWritError(error, 'rate_limited') && error.retryAfter! > 0);
    }
  }
  assert.ok(told >= 128 && told <= 256, String(told));
  assert.equal((await recorded()).length, told);
  const other = callerOf(await letIn(installation, { agent: 'host' }));
  assert.equal(await recordRefusedWorkloads(other, [one], parts), 1);
  await installation.close();
});
