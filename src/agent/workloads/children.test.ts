/** What all processes of an entry share, without a daemon around it. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { manualClock } from '../../base/clock.ts';
import { issuer } from '../../sdk/identity/testdata/identities.ts';
import type { NodeServer } from '../server.ts';
import { entryOf } from '../testdata/node-server.ts';
import { Children, type Holder } from './children.ts';
import { Rotation } from './rotation.ts';

const made = issuer();
const SHARED = entryOf({ per: 'node' });

/** With a steady clock that is moved, and what the server was told. */
function setUp(context: TestContext) {
  const steady = { now: 1_000_000 };
  context.mock.method(performance, 'now', () => steady.now);
  const clock = manualClock(Date.now());
  const stopped: string[] = [];
  const server = {
    enrol: async () => made.credential('agent/planner/1'),
    stop: async (instance: string, cause: string) => {
      stopped.push(`${instance} ${cause}`);
    },
  } as unknown as NodeServer;
  const children = new Children({
    ...{ server, rotation: new Rotation(clock), clock, random: () => 0 },
    ...{ fallen: () => undefined, renewed: () => undefined, changed: () => undefined },
  });
  /** Time goes by, and the daemon looks around all the while. */
  const pass = async (seconds: number): Promise<void> => {
    for (let n = 0; n < seconds; n++) {
      steady.now += 1000;
      children.sweep();
      await new Promise((then) => setImmediate(then));
    }
  };
  return { children, stopped, pass };
}

const holder = (key: string): Holder => ({
  ...{ key, sight: () => ({ facts: {} }), said: () => undefined, describe: () => key, alive: () => true },
  look: async () => ({ facts: {} }),
});

test('what processes share outlives each of them, and ends a minute after the last', async (context) => {
  const { children, stopped, pass } = setUp(context);
  const [one, two] = [await children.enrol(holder('1'), SHARED), await children.enrol(holder('2'), SHARED)];
  assert.equal(one, two);
  children.leave(one, '1');
  await pass(300);
  assert.deepEqual([one.end, stopped], [undefined, []], 'another has it still');
  children.leave(one, '2');
  await pass(59);
  assert.deepEqual([one.end, stopped], [undefined, []]);
  await pass(5);
  assert.deepEqual([one.end, stopped], ['gone', ['1 task_completed']]);
  assert.equal(children.all.size, 0);
});

test('who comes within that minute has the same, and after it another', async (context) => {
  const { children, stopped, pass } = setUp(context);
  const first = await children.enrol(holder('1'), SHARED);
  children.leave(first, '1');
  await pass(50);
  assert.equal(await children.enrol(holder('2'), SHARED), first);
  await pass(300);
  assert.deepEqual([first.end, stopped], [undefined, []]);
  children.leave(first, '2');
  await pass(65);
  assert.notEqual(await children.enrol(holder('3'), SHARED), first);
  assert.deepEqual(stopped, ['1 task_completed']);
});
