/** What a process may make its daemon ask of the server by what it says of itself. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { manualClock } from '../../base/clock.ts';
import { isWritError, WritError } from '../../base/error.ts';
import type { CallerProcess, ProcessTable } from '../process/table.ts';
import type { NodeServer } from '../server.ts';
import { entryOf } from '../testdata/node-server.ts';
import { Rotation } from './rotation.ts';
import { Workloads } from './workloads.ts';

function caller(key: string): CallerProcess {
  return { key, pid: process.pid, uid: 1000, gid: 1000, started: 1 };
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
  const clock = manualClock(Date.now());
  const workloads = new Workloads({
    ...{ server, rotation: new Rotation(clock), clock, random: () => 0, processes, collectors: [] },
    ...{ fallen: () => undefined, renewed: () => undefined, unmatched: async () => undefined },
    ...{ endOf: () => ({ fault: 'ended', goesOn: false }), refused: () => undefined },
  });
  context.after(() => workloads.close());
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
