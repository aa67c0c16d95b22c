import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type Clock, systemClock } from '../../base/clock.ts';
import { WritError } from '../../base/error.ts';
import type { Credential } from './credential.ts';
import { Identity } from './identity.ts';
import { issuer, ScriptedAuthority } from './testdata/identities.ts';

const HOUR = 3_600_000;
const START = 1_800_000_000_000;
const PLANNER = 'agent/planner/1';
const { credential } = issuer();

const fails = (error: Error) => () => Promise.reject(error);
const away = new WritError('unavailable', 'not there');

/** Moves time on in small steps and lets promises settle at each, as they would. */
async function pass(t: TestContext, ms: number, step = 1000): Promise<void> {
  for (let passed = 0; passed < ms; passed += step) {
    t.mock.timers.tick(Math.min(step, ms - passed));
    for (let i = 0; i < 8; i++) await Promise.resolve();
  }
}

function begin(
  t: TestContext,
  answers: readonly (() => Promise<Credential>)[],
  options: { readonly clock?: Clock; readonly random?: number; readonly kept?: boolean } = {},
): { identity: Identity; authority: ScriptedAuthority; events: string[] } {
  t.mock.timers.enable({ apis: ['setTimeout', 'Date'], now: START });
  const { clock = systemClock, random = 0, kept } = options;
  const authority = new ScriptedAuthority(systemClock, answers);
  const identity = new Identity(credential(PLANNER, START), authority, {
    ...{ clock, steady: () => Date.now(), random: () => random, kept },
  });
  const events: string[] = [];
  for (const name of ['renewed', 'failed', 'ended'] as const) identity.on(name, () => events.push(name));
  return { identity, authority, events };
}

const fresh = async (): Promise<Credential> => credential(PLANNER, Date.now());

test('renews at two thirds of each life, once', async (t) => {
  const { identity, authority, events } = begin(t, [fresh]);
  const first = identity.credential;
  await pass(t, 3 * HOUR, 10_000);
  const minutes = authority.askedAt.map((at) => Math.round((at - START) / 60_000));
  assert.deepEqual(minutes, [40, 80, 120, 160]);
  assert.deepEqual(events, ['renewed', 'renewed', 'renewed', 'renewed']);
  assert.notEqual(identity.credential.serial, first.serial);
  identity.close();
});

test('jitter spreads the tries of a fleet over a tenth of the life', async (t) => {
  const { identity, authority } = begin(t, [fresh], { random: 0.999 });
  await pass(t, 40 * 60_000, 5000);
  const [at] = authority.askedAt;
  assert.ok(at !== undefined && at - START > 33 * 60_000 && at - START < 35 * 60_000);
  identity.close();
});

test('a failed renewal is tried again in growing pauses until it succeeds', async (t) => {
  const { identity, authority, events } = begin(t, [fails(away), fails(away), fails(away), fails(away), fresh]);
  await pass(t, 41 * 60_000, 250);
  assert.deepEqual(events, ['failed', 'failed', 'failed', 'failed', 'renewed']);
  const pauses = authority.askedAt.slice(1).map((at, i) => at - authority.askedAt[i]!);
  assert.deepEqual(pauses, [500, 1000, 2000, 4000]);
  identity.close();
});

test('a certificate that nobody renews ends with its life, not before', async (t) => {
  const { identity, authority, events } = begin(t, [fails(away)]);
  await pass(t, HOUR - 1000, 1000);
  assert.ok(!events.includes('ended'));
  await pass(t, 120_000, 1000);
  assert.equal(events.at(-1), 'ended');
  const asked = authority.askedAt.length;
  await pass(t, HOUR, 10_000);
  assert.equal(authority.askedAt.length, asked);
  await assert.rejects(identity.renew(), away);
});

test('a revoked identity ends at once and asks no more', async (t) => {
  const revoked = new WritError('revoked', 'for ever');
  const { identity, authority, events } = begin(t, [fails(revoked)]);
  await pass(t, 2 * HOUR, 10_000);
  assert.deepEqual(events, ['ended']);
  assert.equal(authority.askedAt.length, 1);
  await assert.rejects(identity.renew(), revoked);
});

test('an inactive agent may come back: renewal goes on', async (t) => {
  const { identity, events } = begin(t, [fails(new WritError('inactive', 'no owner')), fresh]);
  await pass(t, 41 * 60_000, 500);
  assert.deepEqual(events, ['failed', 'renewed']);
  identity.close();
});

test('revocation that is heard of in a renewal by hand ends it, too', async (t) => {
  const { identity, events } = begin(t, [fails(new WritError('revoked', 'for ever'))]);
  await assert.rejects(identity.renew());
  assert.deepEqual(events, ['ended']);
});

test('renewals that overlap are one', async (t) => {
  const { identity, authority } = begin(t, [fresh]);
  const [a, b] = await Promise.all([identity.renew(), identity.renew()]);
  assert.equal(a, b);
  assert.equal(authority.askedAt.length, 1);
  identity.close();
});

test('a wrong clock neither delays renewal nor makes it run in circles', async (t) => {
  for (const wrong of [-3 * HOUR, -45 * 60_000, 45 * 60_000, 3 * HOUR]) {
    const clock: Clock = { now: () => Date.now() + wrong };
    const { identity, authority } = begin(t, [fresh], { clock });
    await pass(t, 2 * HOUR + 60_000, 10_000);
    const minutes = authority.askedAt.map((at) => Math.round((at - START) / 60_000));
    assert.deepEqual(minutes, [40, 80, 120], String(wrong));
    identity.close();
    t.mock.timers.reset();
  }
});

test('a clock that is set meanwhile delays no renewal, and ends nothing', async (t) => {
  for (const jump of [-100 * HOUR, 100 * HOUR]) {
    let wrong = 0;
    const clock: Clock = { now: () => Date.now() + wrong };
    const { identity, authority, events } = begin(t, [fails(away), fails(away), fresh], { clock });
    await pass(t, 5 * 60_000, 10_000);
    wrong = jump;
    await pass(t, 36 * 60_000, 1000);
    assert.deepEqual(events, ['failed', 'failed', 'renewed'], String(jump));
    const asked = authority.askedAt.length;
    await pass(t, 41 * 60_000, 10_000);
    assert.equal(authority.askedAt.length, asked + 1, String(jump));
    identity.close();
    t.mock.timers.reset();
  }
});

test('after a sleep past its end it is tried as long as nobody else says that it has ended', async (t) => {
  let asleep = 0;
  const clock: Clock = { now: () => Date.now() + asleep };
  const expired = fails(new WritError('not_authenticated', 'The client certificate has expired.'));
  const { events, authority } = begin(t, [fails(away), fails(away), expired], { clock });
  await pass(t, 60_000, 1000);
  asleep = 10 * HOUR;
  await pass(t, 10 * 60_000, 1000);
  assert.deepEqual(events, ['failed', 'failed', 'ended']);
  await pass(t, HOUR, 10_000);
  assert.equal(authority.askedAt.length, 3);
});

test('what was kept is renewed by what is left of it, as this clock says', async (t) => {
  const clock: Clock = { now: () => Date.now() + 30 * 60_000 };
  const { identity, authority } = begin(t, [fresh], { clock, kept: true });
  await pass(t, 51 * 60_000, 10_000);
  const minutes = authority.askedAt.map((at) => Math.round((at - START) / 60_000));
  assert.deepEqual(minutes, [10, 50]);
  identity.close();
});

test('a machine that slept renews within half a minute of waking', async (t) => {
  let asleep = 0;
  const clock: Clock = { now: () => Date.now() + asleep };
  const { identity, authority } = begin(t, [fresh], { clock });
  await pass(t, 60_000, 1000);
  asleep = 50 * 60_000;
  await pass(t, 31_000, 1000);
  assert.equal(authority.askedAt.length, 1);
  identity.close();
});

test('a closed identity asks nothing more, also when the answer comes late', async (t) => {
  let answer = (_: Credential): void => {};
  const late = () =>
    new Promise<Credential>((resolve) => {
      answer = resolve;
    });
  const { identity, authority, events } = begin(t, [late]);
  const before = identity.credential;
  const renewal = identity.renew();
  identity.close();
  answer(await fresh());
  await assert.rejects(renewal, (error) => error instanceof WritError && error.code === 'unavailable');
  await pass(t, 2 * HOUR, 60_000);
  assert.equal(identity.credential, before);
  assert.deepEqual([events, authority.askedAt.length, authority.closed], [[], 1, true]);
});

test('what a listener throws is not taken for a failure of the renewal', async (t) => {
  const { identity, events } = begin(t, [fresh]);
  const uncaught: unknown[] = [];
  const listeners = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException');
  process.once('uncaughtException', (error) => uncaught.push(error));
  identity.once('renewed', () => {
    throw new Error('of the listener');
  });
  await identity.renew();
  await new Promise((resolve) => setImmediate(resolve));
  for (const listener of listeners) process.on('uncaughtException', listener);
  assert.equal(uncaught.length, 1);
  assert.ok(!events.includes('failed'));
  identity.close();
});

test('a stop goes to the authority first; a refused one leaves the identity open', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout', 'Date'], now: START });
  const causes: string[] = [];
  const authority = {
    renew: fresh,
    async stop(_: Credential, cause: string) {
      causes.push(cause);
      if (causes.length === 1) throw away;
    },
    closed: 0,
    close() {
      this.closed += 1;
    },
  };
  const identity = new Identity(credential(PLANNER, START), authority);
  await assert.rejects(identity.stop('key_theft'), away);
  assert.equal(authority.closed, 0);
  await identity.stop();
  assert.deepEqual([causes, authority.closed], [['key_theft', 'task_completed'], 1]);
});
