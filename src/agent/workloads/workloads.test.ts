/** What a process may make its daemon ask of the server, and what is made of one that ends while it is looked at. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { manualClock } from '../../base/clock.ts';
import { isWritError, WritError } from '../../base/error.ts';
import type { WorkloadFault } from '../../wire/workload-refusal.ts';
import type { Collector } from '../collect/collector.ts';
import { ProgramFiles } from '../process/program-files.ts';
import type { CallerProcess, ProcessTable } from '../process/table.ts';
import type { NodeServer } from '../server.ts';
import { entryOf } from '../testdata/node-server.ts';
import { Rotation } from './rotation.ts';
import { type WorkloadParts, Workloads } from './workloads.ts';

function caller(key: string): CallerProcess {
  return { key, pid: process.pid, uid: 1000, gid: 1000, started: 1 };
}

/** What a test does not give is as quiet as it can be. */
function workloadsWith(
  context: TestContext,
  parts: Pick<WorkloadParts, 'server' | 'processes'> & Partial<WorkloadParts>,
): Workloads {
  const clock = manualClock(Date.now());
  const workloads = new Workloads({
    ...{ rotation: new Rotation(clock), clock, random: () => 0, programs: new ProgramFiles(), collectors: [] },
    ...{ fallen: () => undefined, renewed: () => undefined, unmatched: async () => undefined },
    ...{ endOf: () => ({ fault: 'ended', goesOn: false }), refused: () => undefined },
    ...parts,
  });
  context.after(() => workloads.close());
  return workloads;
}

test('who says something else of itself again and again leaves the server to others', async (context) => {
  const steady = { now: 1_000_000 };
  context.mock.method(performance, 'now', () => steady.now);
  let asked = 0;
  const server = {
    enrol: async () => {
      asked += 1;
      throw new WritError('denied', 'Not allowed: workload.enrol.');
    },
  } as unknown as NodeServer;
  const processes = { alive: () => true, hold() {}, release() {}, sweep: () => [] } as unknown as ProcessTable;
  const workloads = workloadsWith(context, { server, processes });
  workloads.setEntries([entryOf({ match: ['agent:framework=langgraph'] })]);
  let turns = 0;
  const says = async (who: CallerProcess): Promise<boolean> => {
    try {
      assert.ok(await workloads.present(who, { framework: 'langgraph', model_version: `${turns++}` }));
    } catch (error) {
      assert.ok(isWritError(error, 'rate_limited') && error.retryAfter! > 0);
      return false;
    }
    assert.deepEqual(await workloads.identities(who, false), { ok: false, why: 'refused' });
    return true;
  };
  const one = caller('1');
  let taken = 0;
  for (let n = 0; n < 200; n++) if (await says(one)) taken += 1;
  assert.deepEqual([taken, asked], [10, 10]);
  assert.ok(await says(caller('2')), 'others are heard all the same');
  steady.now += 5000;
  assert.deepEqual([await says(one), await says(one)], [true, false], 'and so is this one after a while');
  // What is said again, as after a lost connection, is no more of it.
  const same = { framework: 'langgraph', model_version: `${turns - 2}` };
  assert.ok(await workloads.present(one, same));
});

test('a process that ends while its facts are collected gets nothing, whatever was read of the one that has its id now', async (context) => {
  const asked: string[] = [];
  const server = {
    enrol: async ({ process: who }: { readonly process: string }) => {
      asked.push(who);
      throw new WritError('unavailable', 'gone');
    },
  } as unknown as NodeServer;
  let alive = true;
  const processes = { alive: () => alive, hold() {}, release() {}, sweep: () => [] } as unknown as ProcessTable;
  const refused: (readonly [string, WorkloadFault, string | undefined])[] = [];
  const another: Collector = {
    name: 'unix',
    collect: async () => {
      alive = false;
      return { facts: { 'unix:path': ['/usr/bin/another'] }, notes: [] };
    },
  };
  const workloads = workloadsWith(context, {
    ...{ server, processes, collectors: [another] },
    endOf: () => ({ fault: 'id-taken', goesOn: false }),
    refused: ({ key }, fault, program) => refused.push([key, fault, program]),
  });
  workloads.setEntries([entryOf({ match: ['unix:path=/usr/bin/another'] })]);
  assert.deepEqual(await workloads.identities(caller('1'), true), { ok: false, why: 'gone' });
  alive = true;
  assert.equal(await workloads.present(caller('2'), { framework: 'langgraph' }), false);
  // Nor does one that ends while something is fetched for it, where another goes on with its connection.
  assert.equal(workloads.mayHave(caller('3'), []), false);
  assert.deepEqual(asked, []);
  assert.deepEqual(
    refused.map(([key, fault]) => [key, fault]),
    [
      ['1', 'id-taken'],
      ['2', 'id-taken'],
      ['3', 'id-taken'],
    ],
  );
  // Nor is that program what the one before is said to have run.
  assert.deepEqual(
    refused.map(([, , program]) => program),
    [undefined, undefined, undefined],
  );
});

test('that the daemon itself cannot look at a caller is told, and takes nothing from it', async (context) => {
  const server = {} as unknown as NodeServer;
  const processes = { alive: () => true, hold() {}, release() {}, sweep: () => [] } as unknown as ProcessTable;
  const refused: (readonly [string, WorkloadFault])[] = [];
  const blind: Collector = {
    name: 'unix',
    collect: async () => {
      throw new WritError('unavailable', 'The daemon cannot look at processes now (EMFILE).');
    },
  };
  const workloads = workloadsWith(context, {
    ...{ server, processes, collectors: [blind] },
    refused: ({ key }, fault) => refused.push([key, fault]),
  });
  workloads.setEntries([entryOf({ match: ['unix:uid=1000'] })]);
  await assert.rejects(workloads.identities(caller('1'), true), (error) => isWritError(error, 'unavailable'));
  assert.deepEqual(refused, [['1', 'unreadable']]);
});
