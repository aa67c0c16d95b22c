import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isWritError } from '../../base/error.ts';
import type { FeedStatement, SignedStatement } from '../../wire/feed-statement.ts';
import type { FeedSignatures } from './signatures.ts';
import { FeedTime } from './time.ts';

/** Two clocks that are moved, and a server whose clock is another. */
function world(): {
  readonly at: { steady: number; wall: number; server: number };
  readonly time: FeedTime;
  readonly ask: (delay?: number, nonce?: (given: string) => string) => Promise<void>;
  readonly pass: (ms: number) => void;
} {
  const at = { steady: 1000, wall: 50_000, server: 900_000 };
  const pass = (ms: number): void => {
    at.steady += ms;
    at.wall += ms;
    at.server += ms;
  };
  const time = new FeedTime({ steady: () => at.steady, wall: () => at.wall });
  const signatures = { read: ({ statement }: SignedStatement) => JSON.parse(statement) as FeedStatement };
  const ask = (delay = 0, nonce = (given: string) => given): Promise<void> =>
    time.ask('https://relay', {
      signatures: signatures as unknown as FeedSignatures,
      async fetch(_, init) {
        const { nonces } = JSON.parse(String(init!.body)) as { nonces: string[] };
        pass(delay);
        const said = { kind: 'time', nonces: ['other', nonce(nonces[0]!)], time: at.server };
        pass(delay);
        return new Response(JSON.stringify({ statement: JSON.stringify(said) }));
      },
    });
  return { at, time, ask, pass };
}

test('the time of the server is never taken for earlier than it is, however long its answer took', async () => {
  const { at, time, ask, pass } = world();
  assert.equal(time.known, false);
  await ask(40);
  assert.deepEqual([time.known, time.now() - at.server], [true, 40]);
  pass(10_000);
  assert.equal(time.now() - at.server, 40);
});

test('an answer to another question counts for nothing', async () => {
  const { time, ask } = world();
  const given: string[] = [];
  const note = (one: string): string => {
    given.push(one);
    return one;
  };
  await ask(0, note);
  await ask(0, note);
  assert.notEqual(given[0], given[1]);
  const before = time.now();
  await assert.rejects(
    ask(0, () => given[0]!),
    (error) => isWritError(error, 'bad_certificate'),
  );
  assert.equal(time.now(), before);
});

test('a machine that slept, or whose clock was set, never goes behind, and asks again', async () => {
  const { at, time, ask, pass } = world();
  await ask();
  pass(1500);
  assert.equal(time.due, false);
  // Asleep: only one of the clocks goes on, as the server's does.
  at.wall += 60_000;
  at.server += 60_000;
  assert.ok(time.now() >= at.server && time.due);
  await ask();
  assert.equal(time.due, false);
  pass(1500);
  // Set back, or ahead: old heartbeats do not seem new.
  for (const by of [-3_600_000, 7_200_000]) {
    at.wall += by;
    assert.ok(time.now() >= at.server && time.due, String(by));
    await ask();
    assert.equal(time.now(), at.server);
    pass(1500);
  }
  assert.equal(time.due, false);
  pass(30_000);
  assert.equal(time.due, true);
});
