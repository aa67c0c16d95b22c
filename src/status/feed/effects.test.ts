import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { manualClock } from '../../base/clock.ts';
import { silentLog } from '../../base/log.ts';
import type { LedgerEvent } from '../../db/batch.ts';
import type { FeedEntry } from '../../wire/feed.ts';
import { type EffectMessage, FeedEffects } from './effects.ts';
import { Latencies } from './latencies.ts';

const START = 1_800_000_000_000;

/** The threads of a process, with the points that each serves, and what they put on record. */
function process(...points: string[][]) {
  const clock = manualClock(START);
  const events: LedgerEvent[] = [];
  const threads: FeedEffects[] = points.map(
    (names, thread) =>
      new FeedEffects({
        ...{ thread, threads: points.length, clock, log: silentLog, points: () => names },
        send: (message: EffectMessage) => {
          const copy = structuredClone(message);
          for (const [index, other] of threads.entries()) if (index !== thread) other.receive(copy);
        },
        async commit(batch) {
          events.push(...batch.events);
          return { committed: true, firstLeaf: 0 };
        },
        areCanaries: async (subjects) => subjects.includes('instance:canary'),
      }),
  );
  return {
    clock,
    events,
    threads,
    points,
    told(entries: readonly FeedEntry[]) {
      for (const one of threads) one.told(entries);
    },
    /** Lets time pass, and the threads look. */
    async pass(ms: number, ticks = 4) {
      clock.advance(ms);
      for (let tick = 0; tick < ticks; tick++) await pause(55);
    },
    close() {
      for (const one of threads) one.close();
    },
  };
}

function entry(position: number, { act = position, subject = `serial:${position}`, at = START } = {}): FeedEntry {
  const expires_at = START + 3_600_000;
  return { position, act, effect: 'stop', type: 'certificate.revoked', at, expires_at, subjects: [subject] };
}

test('each stop of a storm is measured, in few records, and nothing is lost in the sums', async () => {
  const names = Array.from({ length: 50 }, (_, i) => `point-${i}`);
  const { told, threads, pass, clock, events, close } = process(names.slice(0, 20), names.slice(20));
  const STOPS = 1000;
  for (let stop = 1; stop <= STOPS; stop++) told([entry(stop, { at: START + stop })]);
  clock.set(START + STOPS + 7);
  for (const [thread, of] of [names.slice(0, 20), names.slice(20)].entries()) {
    // One acknowledgement covers all before it; some come over the other thread.
    for (const point of of) threads[(thread + 1) % 2]!.acknowledged(point, { position: STOPS }, false);
  }
  await pass(1600, 30);
  close();
  const bodies = events.map(({ body }) => body as Record<string, number>);
  assert.ok(events.length < 40, `${events.length} records`);
  const sum = (member: string): number => bodies.reduce((total, body) => total + (body[member] ?? 0), 0);
  assert.deepEqual([sum('acts'), sum('points'), sum('acknowledged')], [STOPS, STOPS * 50, STOPS * 50]);
  assert.deepEqual([bodies[0]!['first'], bodies.at(-1)!['last'], sum('accepted_after')], [1, STOPS, 0]);
  const told_ = events.flatMap(({ subjects }) => subjects);
  assert.equal(new Set(told_).size, STOPS);
  // The first stop was acknowledged 1 006 ms after it was made, the last after 7.
  assert.ok(bodies[0]!['max_ms']! >= 1006 && bodies.at(-1)!['p50_ms']! < 200, JSON.stringify(bodies.at(-1)));
});

test('a few stops at once have a record each, with who has not acknowledged', async () => {
  const { told, threads, pass, events, close } = process(['a', 'b', 'c']);
  told([entry(10), entry(11, { act: 10 }), entry(12)]);
  threads[0]!.acknowledged('a', { position: 12 }, true);
  threads[0]!.acknowledged('b', { position: 11, accepted_before: 2 }, true);
  // Of its own accord nobody is heard again about what it has acknowledged.
  threads[0]!.acknowledged('b', { position: 10 }, true);
  threads[0]!.acknowledged('stranger', { position: 12 }, true);
  await pass(0);
  assert.deepEqual(events, []);
  await pass(5000);
  close();
  const found = events.map(({ body }) => [
    ...[body['first'], body['last'], body['points'], body['acknowledged']],
    ...[body['accepted_before'], body['missing']],
  ]);
  assert.deepEqual(found, [
    [10, 11, 3, 2, 2, ['c']],
    [12, 12, 3, 1, 0, ['b', 'c']],
  ]);
});

test('a point that comes later is not waited for, one that was away is, for what it was told before', async () => {
  const { told, threads, points, pass, events, close } = process(['a', 'away']);
  told([entry(1)]);
  points[0]!.splice(1, 1);
  told([entry(2)]);
  points[0]!.push('away', 'late');
  told([entry(3)]);
  for (const point of ['a', 'late']) threads[0]!.acknowledged(point, { position: 3 }, true);
  await pass(1600);
  assert.deepEqual(
    events.map(({ body }) => [body['first'], body['points'], body['acknowledged']]),
    [[2, 1, 1]],
  );
  threads[0]!.acknowledged('away', { position: 3 }, true);
  await pass(100);
  close();
  assert.deepEqual(
    events.map(({ body }) => [body['first'], body['points'], body['acknowledged'], body['missing']]),
    [
      [2, 1, 1, []],
      [1, 2, 2, []],
      [3, 3, 3, []],
    ],
  );
});

test('uses accepted after an acknowledgement are told of, and stops of canaries are marked', async () => {
  const { told, threads, pass, events, close } = process(['a']);
  told([entry(1, { subject: 'instance:canary' })]);
  told([entry(2)]);
  threads[0]!.acknowledged('a', { position: 2 }, true);
  threads[0]!.acknowledged('a', { position: 1, accepted_after: 3 }, true);
  await pass(1600);
  close();
  assert.deepEqual(
    events.map(({ body }) => [body['first'], body['accepted_after'], body['canary']]),
    [
      [1, 3, true],
      [2, 0, undefined],
    ],
  );
});

test('more stops than are measured at once take no more memory, and are answered for all the same', async () => {
  const { told, threads, pass, events, close } = process(['a']);
  for (let stop = 1; stop <= 10_000; stop++) told([entry(stop)]);
  threads[0]!.acknowledged('a', { position: 10_000 }, true);
  await pass(5000);
  assert.equal(threads[0]!.report('serial:10000', false)?.points, 0);
  assert.equal(threads[0]!.report('serial:1', false), undefined);
  assert.ok(events.length > 0);
  close();
});

test('quantiles err on the long side, and never beyond the longest', () => {
  const latencies = new Latencies();
  for (let ms = 1; ms <= 100; ms++) latencies.add(ms);
  assert.deepEqual(
    [0.5, 0.99, 1].map((share) => latencies.quantile(share)),
    [50, 99, 100],
  );
  const slow = new Latencies();
  for (const ms of [105, 230, 1234, 7777]) slow.add(ms);
  assert.deepEqual(
    [0.25, 0.5, 0.75, 1].map((share) => slow.quantile(share)),
    [109, 239, 1299, 7777],
  );
  latencies.merge(slow.toCounts());
  assert.deepEqual([latencies.count, latencies.quantile(1)], [104, 7777]);
  assert.equal(new Latencies().quantile(0.5), 0);
});
