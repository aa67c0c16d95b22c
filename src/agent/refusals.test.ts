/** What the server hears of callers that the daemon refuses by itself, and how little of it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as settled } from 'node:timers/promises';
import { manualClock } from '../base/clock.ts';
import { type ErrorCode, WritError } from '../base/error.ts';
import { parse } from '../wire/schema.ts';
import { MOST_REFUSALS, refusedWorkloads, type WorkloadRefusal } from '../wire/workload-refusal.ts';
import { Refusals } from './refusals.ts';

const BEGAN = Date.parse('2026-11-22T14:00:00.000Z');
const ONE = { fault: 'no-entry', uid: 1000, program: '/opt/one' } as const;
const since = (ms: number): string => new Date(BEGAN + ms).toISOString();

interface Request {
  readonly refusals: readonly WorkloadRefusal[];
  readonly key: string;
}

function gatherer() {
  const clock = manualClock(BEGAN);
  const asked: Request[] = [];
  const state: { fail: WritError | undefined } = { fail: undefined };
  const refusals = new Refusals(
    async (told, key) => {
      asked.push({ refusals: parse(refusedWorkloads, { refusals: told }, 'body').refusals, key });
      if (state.fail !== undefined) throw state.fail;
    },
    clock,
    () => 0,
  );
  const pass = async (ms: number): Promise<void> => {
    clock.advance(ms);
    refusals.turn();
    await settled();
  };
  return { clock, asked, state, refusals, pass };
}

const error = (code: ErrorCode, retryAfter?: number): WritError =>
  new WritError(code, 'No.', retryAfter === undefined ? {} : { retryAfter });

test('the first of a kind is told at once, the others of its minute as one number', async () => {
  const { asked, refusals, pass } = gatherer();
  for (let n = 0; n < 1000; n++) refusals.add(ONE);
  await pass(0);
  assert.deepEqual(
    asked.map((one) => one.refusals),
    [[{ ...ONE, count: 1, since: since(0) }]],
  );
  assert.equal(refusals.untold, 999);
  for (let second = 1; second < 60; second++) await pass(1000);
  assert.equal(asked.length, 1);
  await pass(1000);
  assert.deepEqual(asked[1]?.refusals, [{ ...ONE, count: 999, since: since(0) }]);
  assert.equal(refusals.untold, 0);
  // A minute without any says nothing, and the next one is a first one again.
  await pass(120_000);
  assert.equal(asked.length, 2);
  refusals.add(ONE);
  await settled();
  assert.deepEqual(asked[2]?.refusals, [{ ...ONE, count: 1, since: since(180_000) }]);
});

test('what comes at one moment goes in one request, and no second has two', async () => {
  const { asked, refusals, pass } = gatherer();
  refusals.add(ONE);
  refusals.add({ fault: 'unreadable', uid: 1000 });
  refusals.add({ fault: 'ended', uid: 1001 });
  await settled();
  await pass(999);
  assert.equal(asked.length, 1);
  await pass(1);
  assert.deepEqual(
    asked[1]?.refusals.map(({ fault, uid }) => [fault, uid]),
    [
      ['unreadable', 1000],
      ['ended', 1001],
    ],
  );
});

test('whoever comes as many keeps nobody else from being told apart, and what is kept is bounded', async () => {
  const { asked, state, refusals, pass } = gatherer();
  state.fail = error('unavailable');
  for (let n = 0; n < 500; n++) refusals.add({ fault: 'no-entry', uid: 1000, program: `/home/x/${n}` });
  refusals.add({ fault: 'no-entry', uid: 1001, program: '/opt/other' });
  for (let uid = 100_000; uid < 101_000; uid++) refusals.add({ fault: 'no-entry', uid, program: '/home/x/1' });
  refusals.add({ fault: 'ended', uid: 2000 });
  await settled();
  state.fail = undefined;
  await pass(5000);
  await pass(60_000);
  await pass(5000);
  const [, ...rest] = asked;
  assert.ok(asked.every((one) => one.refusals.length <= MOST_REFUSALS));
  const all = rest.flatMap((one) => one.refusals);
  assert.equal(
    all.reduce((sum, { count }) => sum + count, 0),
    1502,
  );
  const ofUser = all.filter(({ uid }) => uid === 1000);
  assert.equal(new Set(ofUser.map(({ program }) => program)).size, 5);
  assert.ok(all.some(({ program, uid }) => program === '/opt/other' && uid === 1001));
  assert.ok(new Set(all.map(({ fault, uid, program }) => `${fault} ${uid} ${program}`)).size <= 34);
  assert.ok(all.some((one) => one.fault === 'ended' && one.uid === undefined));
});

test('a silent server is asked again for the same under the same key, and hears the rest as numbers', async () => {
  const { asked, state, refusals, pass } = gatherer();
  state.fail = error('unavailable');
  refusals.add(ONE);
  await settled();
  for (let second = 0; second < 3600; second++) {
    refusals.add(ONE);
    await pass(1000);
  }
  assert.ok(asked.length > 700 && asked.length <= 721, `${asked.length} requests in an hour`);
  assert.equal(new Set(asked.map(({ key }) => key)).size, 1);
  assert.equal(refusals.untold, 3601);
  state.fail = undefined;
  await pass(5000);
  await pass(15 * 60_000);
  await pass(1000);
  const keys = [...new Map(asked.map((one) => [one.key, one.refusals])).values()];
  assert.equal(
    keys.flat().reduce((sum, { count }) => sum + count, 0),
    3601,
  );
  assert.equal(refusals.untold, 0);
  assert.equal(refusals.dropped, 0);
});

test('a server that turns away is not asked before it said, one that refuses is not asked again for the same', async () => {
  const { asked, state, refusals, pass } = gatherer();
  state.fail = error('rate_limited', 30_000);
  refusals.add(ONE);
  await settled();
  await pass(29_999);
  assert.equal(asked.length, 1);
  state.fail = error('denied');
  await pass(1);
  assert.equal(asked.length, 2);
  assert.deepEqual([refusals.untold, refusals.dropped], [0, 1]);
  state.fail = undefined;
  await pass(60_000);
  assert.equal(asked.length, 2);
});

test('a clock that goes back keeps nothing waiting', async () => {
  const { clock, asked, refusals, pass } = gatherer();
  refusals.add(ONE);
  refusals.add(ONE);
  await settled();
  clock.set(BEGAN - 86_400_000);
  await pass(0);
  assert.deepEqual(
    asked.map((one) => one.refusals.map(({ count }) => count)),
    [[1], [1]],
  );
});

test('who asks for ever is told of ever less often, whoever comes back is told of at once', async () => {
  const { asked, refusals, pass } = gatherer();
  for (let second = 0; second < 86_400; second++) {
    refusals.add(ONE);
    await pass(1000);
  }
  const told = () => asked.flatMap((one) => one.refusals);
  assert.ok(told().length <= 105, `${told().length} entries in a day`);
  assert.equal(told().reduce((sum, { count }) => sum + count, 0) + refusals.untold, 86_400);
  assert.ok(refusals.untold <= 900);
  for (const [at, { since: began }] of told().entries()) {
    assert.ok(at === 0 || Date.parse(began) > Date.parse(told()[at - 1]!.since), 'in order');
  }
  // One of the last window, and none in the one behind it.
  await pass(15 * 60_000);
  await pass(15 * 60_000);
  const before = asked.length;
  refusals.add(ONE);
  await settled();
  assert.deepEqual([asked.length, asked.at(-1)?.refusals[0]?.count], [before + 1, 1]);
});

test('the end tells what a silent server has not answered, and what came behind it', async () => {
  const { asked, state, refusals, pass } = gatherer();
  state.fail = error('unavailable');
  refusals.add(ONE);
  await settled();
  refusals.add({ fault: 'unreadable', uid: 1001 });
  await pass(1000);
  assert.equal(asked.length, 1);
  state.fail = undefined;
  await refusals.close();
  assert.deepEqual(
    asked.slice(1).flatMap((one) => one.refusals.map(({ fault }) => fault)),
    ['no-entry', 'unreadable'],
  );
  assert.deepEqual([refusals.untold, refusals.dropped], [0, 0]);
});

test('the end does not ask a silent server for ever', async () => {
  const { asked, state, refusals } = gatherer();
  state.fail = error('unavailable');
  refusals.add(ONE);
  refusals.add({ fault: 'unreadable', uid: 1001 });
  await refusals.close();
  assert.equal(asked.length, 2);
  assert.equal(refusals.untold, 2);
});

test('the end tells what is left', async () => {
  const { asked, refusals } = gatherer();
  refusals.add(ONE);
  refusals.add(ONE);
  await refusals.close();
  refusals.add(ONE);
  assert.deepEqual(
    asked.map((one) => one.refusals.map(({ count }) => count)),
    [[1], [1]],
  );
  assert.equal(refusals.untold, 0);
});
