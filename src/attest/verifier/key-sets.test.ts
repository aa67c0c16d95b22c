import assert from 'node:assert/strict';
import { test } from 'node:test';
import { manualClock } from '../../base/clock.ts';
import type { EvidenceFetch } from '../evidence.ts';
import { KeySets, type KeySource } from './key-sets.ts';
import { NOW, tokenKey } from './testdata/verifier-parts.ts';

const SOURCE: KeySource = { issuer: 'https://issuer.example', jwksUri: 'https://issuer.example/keys' };
const SECOND = 1000;

function site(): {
  asked: number;
  keys: object[];
  down: boolean;
  maxAge: number | undefined;
  delay: Promise<void> | undefined;
  fetch: EvidenceFetch;
} {
  const state: ReturnType<typeof site> = {
    asked: 0,
    keys: [tokenKey('k1').jwk],
    down: false,
    maxAge: undefined,
    delay: undefined,
    fetch: async () => {
      state.asked += 1;
      await state.delay;
      if (state.down) return { reached: false };
      const body = Buffer.from(JSON.stringify({ keys: state.keys }));
      return { reached: true, status: 200, body, ...(state.maxAge === undefined ? {} : { maxAge: state.maxAge }) };
    },
  };
  return state;
}

test('keys are asked for once, and anew when they are no longer fresh', async () => {
  const [clock, issuer] = [manualClock(NOW), site()];
  const sets = new KeySets({ clock, fetch: issuer.fetch });
  for (let i = 0; i < 5; i++) assert.equal((await sets.current(SOURCE))?.length, 1);
  assert.equal(issuer.asked, 1);
  clock.advance(900 * SECOND);
  await sets.current(SOURCE);
  assert.equal(issuer.asked, 2);
});

test('an issuer says how long, within a minute and an hour', async () => {
  for (const [said, lasts] of [
    [0, 60],
    [300, 300],
    [86_400, 3600],
  ] as const) {
    const [clock, issuer] = [manualClock(NOW), site()];
    issuer.maxAge = said;
    const sets = new KeySets({ clock, fetch: issuer.fetch });
    await sets.current(SOURCE);
    clock.advance(lasts * SECOND - 1);
    await sets.current(SOURCE);
    assert.equal(issuer.asked, 1, `${said}`);
    clock.advance(1);
    await sets.current(SOURCE);
    assert.equal(issuer.asked, 2, `${said}`);
  }
});

test('a thousand tokens by keys that nobody knows make one request in half a minute', async () => {
  const [clock, issuer] = [manualClock(NOW), site()];
  const sets = new KeySets({ clock, fetch: issuer.fetch });
  for (let i = 0; i < 1000; i++) {
    clock.advance(29);
    await sets.newer(SOURCE, (await sets.current(SOURCE))!);
  }
  assert.equal(issuer.asked, 1);
  clock.advance(30 * SECOND);
  await sets.newer(SOURCE, (await sets.current(SOURCE))!);
  assert.equal(issuer.asked, 2);
});

test('a key that is published after is found, and one that is withdrawn is not', async () => {
  const [clock, issuer] = [manualClock(NOW), site()];
  const sets = new KeySets({ clock, fetch: issuer.fetch });
  const known = (await sets.current(SOURCE))!;
  issuer.keys = [tokenKey('k2').jwk];
  assert.equal(await sets.newer(SOURCE, known), known);
  clock.advance(30 * SECOND);
  assert.deepEqual(
    (await sets.newer(SOURCE, known)).map(({ kid }) => kid),
    ['k2'],
  );
});

test('who comes while an answer is on its way waits for the same one', async () => {
  const [clock, issuer] = [manualClock(NOW), site()];
  const { promise, resolve } = Promise.withResolvers<void>();
  issuer.delay = promise;
  const sets = new KeySets({ clock, fetch: issuer.fetch });
  const all = Promise.all(Array.from({ length: 50 }, () => sets.current(SOURCE)));
  resolve();
  assert.ok((await all).every((keys) => keys?.length === 1));
  assert.equal(issuer.asked, 1);
});

test('an issuer that does not answer is asked seldom, and believed by its last keys for four hours', async () => {
  const [clock, issuer] = [manualClock(NOW), site()];
  const sets = new KeySets({ clock, fetch: issuer.fetch });
  const known = await sets.current(SOURCE);
  issuer.down = true;
  clock.advance(4 * 3600 * SECOND - 1);
  assert.equal(await sets.current(SOURCE), known);
  for (let i = 0; i < 100; i++) await sets.current(SOURCE);
  assert.equal(issuer.asked, 2);
  clock.advance(1);
  assert.equal(await sets.current(SOURCE), undefined);
  issuer.down = false;
  clock.advance(30 * SECOND);
  assert.equal((await sets.current(SOURCE))?.length, 1);
});

test('issuers that nobody asks for any more are forgotten', async () => {
  const [clock, issuer] = [manualClock(NOW), site()];
  const sets = new KeySets({ clock, fetch: issuer.fetch });
  for (let i = 0; i < 1025; i++) await sets.current({ ...SOURCE, issuer: `https://issuer-${i}.example` });
  assert.equal(issuer.asked, 1025);
  await sets.current({ ...SOURCE, issuer: 'https://issuer-1024.example' });
  assert.equal(issuer.asked, 1025);
  await sets.current({ ...SOURCE, issuer: 'https://issuer-0.example' });
  assert.equal(issuer.asked, 1026);
});
