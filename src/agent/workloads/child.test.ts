/** What one workload keeps while clocks are set and the server is silent, without a daemon around it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ManualClock, manualClock } from '../../base/clock.ts';
import { WritError } from '../../base/error.ts';
import type { Credential } from '../../sdk/identity/credential.ts';
import { issuer } from '../../sdk/identity/testdata/identities.ts';
import type { Entry } from '../../wire/entry.ts';
import type { NodeServer } from '../server.ts';
import { Child } from './child.ts';
import { Rotation } from './rotation.ts';

const HOUR = 3_600_000;
const made = issuer();

/** A child whose server says nothing, with a certificate that lives so long from now on. */
function childOf(clock: ManualClock, life: number, renew?: () => Promise<Credential>): Child {
  const silent = async (): Promise<never> => {
    throw new WritError('unavailable', 'gone');
  };
  return new Child({ id: 'e' } as Entry, made.credential('agent/planner/1', Date.now(), life), {
    ...{ server: { renew: renew ?? silent } as unknown as NodeServer, rotation: new Rotation(clock), clock },
    ...{
      random: () => 0,
      turn: (run) => run(),
      facts: async () => undefined,
      said: () => undefined,
      changed: () => undefined,
    },
  });
}

test('a clock that is set ends nothing, forward or back, while the server is silent', async () => {
  for (const jump of [100 * HOUR, -100 * HOUR]) {
    const clock = manualClock(Date.now());
    const child = childOf(clock, HOUR);
    clock.advance(jump);
    assert.equal(child.expired, false, `${jump}`);
    await child.renew();
    child.expire();
    assert.deepEqual([child.usable, child.end, child.lastError?.message], [true, undefined, 'gone'], `${jump}`);
  }
});

test('a clock that was wrong when the certificate came tells its span all the same', async () => {
  for (const off of [50 * HOUR, -50 * HOUR]) {
    const clock = manualClock(Date.now() + off);
    assert.equal(childOf(clock, HOUR).usable, true, `${off}`);
    // It has ended by both: no time was left.
    const spent = childOf(clock, 0);
    assert.equal(spent.expired, true, `${off}`);
    spent.expire();
    assert.equal(spent.end, 'expired');
  }
});

test('it ends when both clocks say so, and not before', async () => {
  const clock = manualClock(Date.now());
  const child = childOf(clock, 20);
  const begun = performance.now();
  while (performance.now() - begun < 40) await new Promise((then) => setTimeout(then, 5));
  child.expire();
  assert.equal(child.usable, true, 'one clock alone says so');
  clock.advance(20);
  assert.equal(child.usable, false);
  child.expire();
  assert.equal(child.end, 'expired');
});

test('a renewal counts from when it came, by whatever the clock says then', async () => {
  const clock = manualClock(Date.now());
  const next = made.credential('agent/planner/1');
  const child = childOf(clock, 0, async () => next);
  assert.equal(child.usable, false);
  clock.advance(-1000 * HOUR);
  await child.renew();
  clock.advance(2000 * HOUR);
  assert.deepEqual([child.usable, child.credential.serial], [true, next.serial]);
});
