import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import type { Called } from './line.ts';
import { type Probed, type ProbeLine, probe } from './probe.ts';

/** A point as the test wants it: what each kind of call comes to, told the milliseconds since the stop was acknowledged. */
interface Behaviour {
  readonly kept?: (since: number) => Called['outcome'] | 'closed';
  readonly fresh?: (since: number) => Called['outcome'];
  readonly control?: (since: number) => Called['outcome'];
  readonly stop?: () => Promise<void>;
}

const LIMITS = { admission: 150, effect: 400, settled: 100 };

async function probed(behaviour: Behaviour): Promise<Probed & { readonly stops: number }> {
  let [stopped, stops] = [Number.POSITIVE_INFINITY, 0];
  const line = (said: (since: number) => Called['outcome'] | 'closed'): ProbeLine => ({
    async call() {
      const begun = performance.now();
      await pause(1);
      const ended = performance.now();
      const outcome = said(ended - stopped);
      // What was closed is opened anew by the next call, which is refused like any other.
      if (outcome === 'closed') return { outcome: 'refused', detail: 'ECONNRESET', begun, ended, reused: false };
      return { outcome, detail: `said ${outcome}`, begun, ended, reused: true };
    },
    close: () => undefined,
  });
  const refusing = (since: number) => (since > 0 ? 'refused' : 'accepted');
  const { kept = refusing, fresh = refusing, control = () => 'accepted' as const, stop } = behaviour;
  const found = await probe({
    ...{ kept: line(kept), fresh: line(fresh), control: line(control), limits: LIMITS },
    signal: new AbortController().signal,
    async stop() {
      stops += 1;
      await (stop ?? (() => pause(5)))();
      stopped = performance.now();
    },
  });
  return { ...found, stops };
}

test('a point that refuses at once has a time to effect of nothing, or next to it', async () => {
  const { verdict, time_to_effect_ms: took, refused_ms: refused, stops, ...more } = await probed({});
  assert.equal(verdict, 'refused');
  assert.ok(took! <= 50 && refused! >= took! && refused! <= 100, `${took} ${refused}`);
  assert.ok(more.stop_ms! >= 5 && more.calls > 10, JSON.stringify(more));
  assert.equal(stops, 1);
});

test('the last accepted answer counts, on whichever connection it came', async () => {
  const late = (until: number) => (since: number) => (since > until ? 'refused' : 'accepted');
  const kept = await probed({ kept: late(200) });
  assert.equal(kept.verdict, 'refused');
  assert.ok(kept.time_to_effect_ms! >= 150 && kept.kept_ms === kept.time_to_effect_ms, JSON.stringify(kept));
  assert.ok(kept.fresh_ms! < 100 && kept.accepted_after > 5, JSON.stringify(kept));
  const fresh = await probed({ fresh: late(200), kept: (since) => (since > 0 ? 'closed' : 'accepted') });
  assert.equal(fresh.verdict, 'refused');
  assert.ok(fresh.time_to_effect_ms! >= 130 && fresh.kept_ms! < 100, JSON.stringify(fresh));
});

test('one replica of a point that goes on accepting now and then is found', async () => {
  let calls = 0;
  const found = await probed({ fresh: (since) => (since > 0 && ++calls % 2 !== 0 ? 'refused' : 'accepted') });
  assert.equal(found.verdict, 'still_accepted');
});

test('whoever accepts beyond the limit raises the alarm, also on the kept connection alone', async () => {
  const accepting = () => 'accepted' as const;
  const each: Behaviour[] = [{ kept: accepting, fresh: accepting }, { kept: accepting }, { fresh: accepting }];
  for (const ignoring of each) {
    const { verdict, time_to_effect_ms: took } = await probed(ignoring);
    assert.equal(verdict, 'still_accepted', Object.keys(ignoring).join());
    assert.ok(took! > LIMITS.effect && took! < 20 * LIMITS.effect, `${took}`);
  }
});

test('a point that refuses everybody, or is gone, after the stop proves nothing', async () => {
  const everybody = await probed({ control: (since) => (since > 0 ? 'refused' : 'accepted') });
  assert.deepEqual([everybody.verdict, everybody.detail], ['unclear', 'control: said refused']);
  const gone = (since: number) => (since > 0 ? 'none' : 'accepted');
  const down = await probed({ kept: gone, fresh: gone, control: gone });
  assert.equal(down.verdict, 'unclear');
});

test('a point that never accepted is unreachable, and the child is stopped all the same', async () => {
  const nobody = await probed({ control: () => 'none' });
  assert.deepEqual([nobody.verdict, nobody.detail, nobody.stops], ['unreachable', 'control: said none', 1]);
  const others = await probed({ fresh: () => 'refused' });
  assert.deepEqual([others.verdict, others.detail, others.stops], ['unreachable', 'child: said refused', 1]);
});

test('a stop that nobody acknowledges is no measurement', async () => {
  await assert.rejects(probed({ stop: () => Promise.reject(new Error('no answer')) }), /no answer/);
});
