import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { manualClock } from '../../base/clock.ts';
import { BACKDATED_MS } from '../../sdk/identity/credential.ts';
import { Rotation } from './rotation.ts';

const HOUR = 3_600_000;
const START = 1_800_000_000_000;

/** Runs a fleet of so many over some lives, and gives how many renewals each second had. */
function run(
  size: number,
  { life, lives }: { readonly life: number; readonly lives: number },
): {
  readonly seconds: readonly number[];
  readonly latest: number;
} {
  mock.timers.enable({ apis: ['setInterval'] });
  const clock = manualClock(START);
  const rotation = new Rotation(clock, Math.random, clock.now);
  const seconds = new Array<number>(Math.ceil((life * lives) / 1000) + 1).fill(0);
  let latest = 0;
  const issue = (first: boolean): void => {
    const issued = clock.now();
    rotation.plan({ notBefore: issued - BACKDATED_MS, notAfter: issued + life }, first, () => {
      const at = Math.floor((clock.now() - START) / 1000);
      seconds[at] = (seconds[at] ?? 0) + 1;
      latest = Math.max(latest, (clock.now() - issued) / life);
      issue(false);
    });
  };
  for (let n = 0; n < size; n++) issue(true);
  try {
    for (let passed = 0; passed < life * lives; passed += 1000) {
      clock.advance(1000);
      mock.timers.tick(1000);
    }
    return { seconds, latest };
  } finally {
    rotation.close();
    mock.timers.reset();
  }
}

test('ten thousand that began at one moment are renewed in an even stream, all before the middle of their lives', () => {
  const { seconds, latest } = run(10_000, { life: HOUR, lives: 1 });
  assert.ok(latest < 0.5, `renewed after ${latest} of a life`);
  // One period: from the first second in which somebody is due to the last of the first round.
  const period = seconds.slice(HOUR / 1000 / 20, Math.floor((HOUR / 1000) * 0.48));
  const mean = period.reduce((sum, one) => sum + one, 0) / period.length;
  assert.ok(mean > 5, `${mean} a second`);
  assert.ok(Math.max(...period) / mean <= 2, `busiest ${Math.max(...period)}, mean ${mean}`);
});

test('the stream stays even over many lives', () => {
  const { seconds, latest } = run(2000, { life: HOUR / 6, lives: 6 });
  assert.ok(latest < 0.5);
  const later = seconds.slice(1200, 3500);
  const mean = later.reduce((sum, one) => sum + one, 0) / later.length;
  assert.ok(Math.max(...later) / mean <= 2.5, `busiest ${Math.max(...later)}, mean ${mean}`);
});

test('what was slept through is done at once, what was taken back is not', () => {
  mock.timers.enable({ apis: ['setInterval'] });
  const clock = manualClock(START);
  const rotation = new Rotation(clock, Math.random, clock.now);
  try {
    const done: string[] = [];
    rotation.after(5000, () => done.push('first'));
    rotation.after(HOUR, () => done.push('second'));
    rotation.after(6000, () => done.push('never'))();
    assert.equal(rotation.planned, 2);
    clock.advance(4000);
    mock.timers.tick(100);
    assert.equal(done.length, 0);
    clock.advance(24 * HOUR);
    mock.timers.tick(100);
    assert.deepEqual(done.sort(), ['first', 'second']);
    rotation.after(0, () => done.push('late'));
    mock.timers.tick(100);
    assert.equal(done.length, 3);
    assert.equal(rotation.planned, 0);
  } finally {
    rotation.close();
    mock.timers.reset();
  }
});

test('a clock that is set back delays nothing, nor does one that is set forward and back', () => {
  for (const jumps of [[-100 * HOUR], [100 * HOUR, -100 * HOUR], [-HOUR, HOUR]]) {
    mock.timers.enable({ apis: ['setInterval'] });
    const [wall, steady] = [manualClock(START), manualClock(0)];
    const rotation = new Rotation(wall, () => 0.5, steady.now);
    try {
      let renewed = 0;
      const plan = (): void => {
        rotation.plan({ notBefore: START - BACKDATED_MS, notAfter: START + HOUR }, true, () => {
          renewed += 1;
        });
      };
      plan();
      for (const jump of jumps) {
        wall.advance(jump);
        mock.timers.tick(100);
        plan();
      }
      for (let passed = 0; passed < HOUR / 2; passed += 1000) {
        for (const clock of [wall, steady]) clock.advance(1000);
        mock.timers.tick(1000);
      }
      assert.deepEqual([renewed, rotation.planned], [jumps.length + 1, 0], jumps.join());
    } finally {
      rotation.close();
      mock.timers.reset();
    }
  }
});
