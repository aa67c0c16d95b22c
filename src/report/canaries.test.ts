import assert from 'node:assert/strict';
import { test } from 'node:test';
import { onEachEngine } from '../../test/engines.ts';
import {
  ADA,
  ANONYMOUS,
  callerOf,
  createInstallation,
  type Installation,
  letIn,
  newKey,
  newToken,
  register,
} from '../../test/installation.ts';
import type { Caller } from '../base/access.ts';
import { type ErrorCode, isWritError } from '../base/error.ts';
import { silentLog } from '../base/log.ts';
import { newBatch } from '../db/batch.ts';
import { enrol } from '../issuance/enrol.ts';
import { registerAgent } from '../registry/register.ts';
import { actingFor } from '../revocation/acting.ts';
import { stopInstance } from '../revocation/stop-instance.ts';
import type { CanaryReport } from '../wire/canary.ts';
import { canaryMetrics } from './canary-metrics.ts';
import { MOST_POINTS, nextCanary, pushCanary } from './canary-store.ts';
import { type CanaryParts, recordCanary, removeCanary } from './record-canary.ts';
import { allCanaries, showCanaries } from './show-canaries.ts';

const code = (wanted: ErrorCode) => (error: unknown) => isWritError(error, wanted);

async function canaryAgent({ registry, issuance }: Installation, name: string, labels = { canary: 'true' }) {
  await issuance.refresh();
  const owner = { team: 'research', sponsor: 'alice@example.com' };
  const about = { purpose: 'tests', environment: 'test', profile: 'agent', labels };
  await registerAgent(ADA, { kind: 'agent', name, owner, ...about }, registry);
}

/** A runner, and what it does. */
async function runnerOf(installation: Installation, agent: string) {
  const { issuance, clock } = installation;
  const caller = callerOf(await letIn(installation, { agent }));
  const child = async (): Promise<string> => {
    const token = await newToken(installation, { agent }, caller);
    const evidence = await token.attest();
    return (await enrol(ANONYMOUS, { evidence, csr: await newKey().csr() }, issuance)).instance!;
  };
  return {
    caller,
    child,
    async stopped(): Promise<string> {
      const instance = await child();
      clock.advance(1000);
      await stopInstance(caller, { instance, cause: 'task_completed' }, issuance);
      return instance;
    },
  };
}

function partsOf({ database, policy, commit, clock }: Installation): CanaryParts {
  return { reader: database, authorize: policy.authorize, commit, clock, log: silentLog };
}

const FIGURES = { time_to_effect_ms: 12, refused_ms: 17, accepted_after: 1, calls: 300 };

function refused(child: string, more: Partial<CanaryReport> = {}): CanaryReport {
  return { point: 'gateway-1', child, verdict: 'refused', period_seconds: 600, ...FIGURES, ...more };
}

onEachEngine('what a canary found is listed, measured and on the ledger', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { database, clock } = installation;
  const parts = partsOf(installation);
  await canaryAgent(installation, 'canary');
  const runner = await runnerOf(installation, 'canary');
  const acting = async (caller: Caller): Promise<CanaryParts> => ({
    ...parts,
    ...(await actingFor(caller, { ...parts, certificates: installation.issuance.certificates }, { policy: true })),
  });
  // Each request begins so.
  const list = async () => {
    await installation.issuance.refresh();
    return showCanaries(ADA, {}, {}, parts);
  };
  assert.deepEqual(await list(), { items: [] });
  assert.equal(canaryMetrics(await allCanaries(database, clock.now())), '');

  for (const took of [10, 20, 30]) {
    const child = await runner.stopped();
    await recordCanary(
      runner.caller,
      refused(child, { time_to_effect_ms: took, refused_ms: 31 }),
      await acting(runner.caller),
    );
  }
  const [one] = (await list()).items;
  const { status, samples, p50_ms, p99_ms, max_ms, successes, failures, time_to_effect_ms } = one!;
  assert.deepEqual(
    { status, samples, p50_ms, p99_ms, max_ms, successes, failures, time_to_effect_ms },
    {
      ...{ status: 'well', samples: 3, p50_ms: 20, p99_ms: 30, max_ms: 30 },
      ...{ successes: 3, failures: 0, time_to_effect_ms: 30 },
    },
  );
  assert.equal(one!.runner, runner.caller.instance);
  assert.equal(one!.last_success_at, one!.stopped_at);

  const child = await runner.stopped();
  const failure = { verdict: 'still_accepted', time_to_effect_ms: 5031 } as const;
  await recordCanary(runner.caller, refused(child, failure), parts);
  assert.deepEqual(
    (await list()).items.map((item) => [item.status, item.failures, item.p99_ms]),
    [['failing', 1, 30]],
  );
  // Silence does not make it better.
  installation.advance(3_600_000);
  assert.equal((await list()).items[0]!.status, 'failing');
  await recordCanary(
    runner.caller,
    refused(await runner.stopped(), { verdict: 'unreachable', detail: 'ECONNREFUSED' }),
    parts,
  );
  assert.deepEqual(
    (await list()).items.map((item) => [item.status, item.inconclusive]),
    [['unclear', 1]],
  );
  installation.advance(1_200_001);
  assert.equal((await list()).items[0]!.status, 'silent');

  const measured = (await installation.events()).filter(({ type }) => type === 'canary.measured');
  assert.deepEqual(
    measured.map(({ body }) => body['verdict']),
    [...Array(3).fill('refused'), 'still_accepted', 'unreachable'],
  );
  assert.ok(measured[3]!.subjects.includes(`instance:${child}`));
  assert.match(String(measured[3]!.body['committed_at']), /Z$/);
  const text = canaryMetrics(await allCanaries(database, clock.now()));
  for (const line of [
    'writ_canary_time_to_effect_seconds{agent="canary",point="gateway-1",quantile="0.99"} 0.03',
    'writ_canary_time_to_effect_seconds_count{agent="canary",point="gateway-1"} 3',
    'writ_canary_time_to_effect_seconds_sum{agent="canary",point="gateway-1"} 0.06',
    'writ_canary_failures_total{agent="canary",point="gateway-1"} 1',
    'writ_canary_inconclusive_total{agent="canary",point="gateway-1"} 1',
    'writ_canary_well{agent="canary",point="gateway-1"} 0',
  ]) {
    assert.ok(text.includes(`${line}\n`), line);
  }
  await installation.close();
});

onEachEngine('nobody reports what is not theirs, twice, or out of order', async ({ open }) => {
  const installation = await createInstallation(await open());
  const parts = partsOf(installation);
  for (const name of ['canary', 'finch']) await canaryAgent(installation, name);
  await register(installation, 'planner');
  const [canary, other, finch, plain] = [
    await runnerOf(installation, 'canary'),
    await runnerOf(installation, 'canary'),
    await runnerOf(installation, 'finch'),
    await runnerOf(installation, 'planner'),
  ];
  const record = (caller: Caller, report: CanaryReport) => recordCanary(caller, report, parts);
  await assert.rejects(record(ADA, refused(await canary.stopped())), code('denied'));
  await assert.rejects(record(ANONYMOUS, refused(await canary.stopped())), code('denied'));
  await assert.rejects(record(plain.caller, refused(await plain.stopped())), code('denied'));
  await assert.rejects(record(canary.caller, refused(await other.stopped())), code('not_found'));
  await assert.rejects(record(canary.caller, refused(await finch.stopped())), code('not_found'));
  await assert.rejects(record(canary.caller, refused(canary.caller.instance!)), code('not_found'));
  await assert.rejects(record(canary.caller, refused(await canary.child())), code('conflict'));

  const older = await canary.stopped();
  const child = await canary.stopped();
  const first = await record(canary.caller, refused(child));
  const again = await record(canary.caller, refused(child, { time_to_effect_ms: 1 }));
  assert.deepEqual(again, first);
  await assert.rejects(record(canary.caller, refused(older)), code('conflict'));

  // The same name of another agent's point is another row; another runner of the agent goes on with the same one.
  await record(finch.caller, refused(await finch.stopped(), { time_to_effect_ms: 0 }));
  await record(other.caller, refused(await other.stopped(), { time_to_effect_ms: 99, refused_ms: 100 }));
  const { items } = await showCanaries(ADA, {}, {}, parts);
  assert.deepEqual(
    items.map(({ agent, samples, max_ms }) => [agent, samples, max_ms]),
    [
      ['canary', 2, 99],
      ['finch', 1, 0],
    ],
  );
  await assert.rejects(showCanaries(canary.caller, {}, {}, parts), code('denied'));
  await assert.rejects(removeCanary(canary.caller, { agent: 'canary', point: 'gateway-1' }, parts), code('denied'));
  await installation.close();
});

onEachEngine('figures that contradict the verdict are refused', async ({ open }) => {
  const installation = await createInstallation(await open());
  const parts = partsOf(installation);
  await canaryAgent(installation, 'canary');
  const runner = await runnerOf(installation, 'canary');
  const { time_to_effect_ms: _, ...without } = refused(await runner.stopped());
  for (const report of [
    refused(without.child, { time_to_effect_ms: 5001 }),
    refused(without.child, { verdict: 'still_accepted' }),
    without,
  ]) {
    await assert.rejects(recordCanary(runner.caller, report, parts), code('bad_request'));
  }
  assert.deepEqual(await showCanaries(ADA, {}, {}, parts), { items: [] });
  await installation.close();
});

onEachEngine('of two reports at the same moment none is lost', async ({ open }) => {
  const installation = await createInstallation(await open());
  const parts = partsOf(installation);
  await canaryAgent(installation, 'canary');
  const runner = await runnerOf(installation, 'canary');
  const children = [await runner.stopped(), await runner.stopped()];
  const settled = await Promise.allSettled(children.map((child) => recordCanary(runner.caller, refused(child), parts)));
  const { items } = await showCanaries(ADA, {}, {}, parts);
  const recorded = settled.filter(({ status }) => status === 'fulfilled').length;
  assert.deepEqual([items[0]!.samples, items[0]!.child], [recorded, children[1]]);
  await installation.close();
});

onEachEngine('the number of points is bounded, pages go through all, and one can be taken out', async ({ open }) => {
  const installation = await createInstallation(await open());
  const parts = partsOf(installation);
  const { commit, clock } = installation;
  await canaryAgent(installation, 'canary');
  const runner = await runnerOf(installation, 'canary');
  for (let n = 0; n < MOST_POINTS; n += 100) {
    const batch = newBatch();
    for (let i = n; i < n + 100; i++) {
      const given = { agent: 'canary', runner: runner.caller.instance!, stoppedAt: 1, reportedAt: clock.now() };
      pushCanary(batch, nextCanary(undefined, { ...given, report: refused('x', { point: `p${i}` }) }));
    }
    assert.ok((await commit(batch)).committed);
  }
  const child = await runner.stopped();
  await assert.rejects(recordCanary(runner.caller, refused(child), parts), code('too_large'));
  const removed = await removeCanary(ADA, { agent: 'canary', point: 'p7' }, parts);
  assert.equal(removed.point, 'p7');
  await assert.rejects(removeCanary(ADA, { agent: 'canary', point: 'p7' }, parts), code('not_found'));
  await recordCanary(runner.caller, refused(child), parts);

  const points: string[] = [];
  for (let cursor: string | undefined; ; ) {
    const page = await showCanaries(ADA, {}, { limit: 200, ...(cursor === undefined ? {} : { cursor }) }, parts);
    points.push(...page.items.map(({ point }) => point));
    cursor = page.next;
    if (cursor === undefined) break;
  }
  assert.deepEqual([points.length, new Set(points).size], [MOST_POINTS, MOST_POINTS]);
  assert.ok(points.includes('gateway-1') && !points.includes('p7'));
  const events = (await installation.events()).filter(({ type }) => type === 'canary.removed');
  assert.deepEqual(
    events.map(({ body }) => body['point']),
    ['p7'],
  );
  await installation.close();
});

test('the row of a point does not grow with its history', () => {
  let row = nextCanary(undefined, { ...GIVEN, report: refused('x') });
  for (let n = 0; n < 1000; n++) row = nextCanary(row, { ...GIVEN, report: refused('x', { time_to_effect_ms: n }) });
  assert.deepEqual([row.latest.length, row.latest.at(-1), row.successes], [128, 999, 1001]);
});

const GIVEN = { agent: 'canary', runner: 'x', stoppedAt: 1, reportedAt: 1 };
