import assert from 'node:assert/strict';
import { test } from 'node:test';
import { manualClock } from '../base/clock.ts';
import { silentLog } from '../base/log.ts';
import type { Batch, CommitBatch, LedgerEvent } from '../db/batch.ts';
import { KINDS_APART, type Refusal, RefusalLog, WINDOW_MS } from './refusals.ts';

function refusal(by: string | undefined, more: Partial<Refusal> = {}): Refusal {
  const subjects = ['agent:planner'];
  return { type: 'certificate.refused', by, code: 'denied', subjects, body: { flow: 'renew' }, ...more };
}

function setUp() {
  const clock = manualClock(1_800_000_000_000);
  const events: LedgerEvent[] = [];
  const commit: CommitBatch = async (batch: Batch) => {
    events.push(...batch.events);
    return { committed: true, firstLeaf: 0 };
  };
  return { clock, events, log: new RefusalLog(commit, clock, silentLog) };
}

test('the first refusal of a known caller is recorded at once, the rest as a number', async () => {
  const { clock, events, log } = setUp();
  await log.record(refusal('spiffe://a.test/agent/planner/1'));
  assert.deepEqual(events, [
    {
      type: 'certificate.refused',
      subjects: ['agent:planner'],
      body: { flow: 'renew', caller: 'spiffe://a.test/agent/planner/1', code: 'denied' },
    },
  ]);
  for (let i = 0; i < 500; i++) await log.record(refusal('spiffe://a.test/agent/planner/1'));
  await log.flush();
  assert.equal(events.length, 1);
  clock.advance(WINDOW_MS);
  await log.flush();
  assert.equal(events.length, 2);
  assert.deepEqual(events[1]?.body, {
    caller: 'spiffe://a.test/agent/planner/1',
    code: 'denied',
    count: 500,
    since: '2027-01-15T08:00:00.000Z',
  });
  await log.record(refusal('spiffe://a.test/agent/planner/1'));
  assert.equal(events.length, 3, 'a new window begins with an entry of its own');
});

test('another kind of refusal, or another caller, is recorded by itself', async () => {
  const { events, log } = setUp();
  await log.record(refusal('one'));
  await log.record(refusal('two'));
  await log.record(refusal('one', { code: 'inactive' }));
  await log.record(refusal('one', { type: 'key.reuse_refused' }));
  assert.equal(events.length, 4);
});

test('callers without identity are only counted, and nothing they chose is kept', async () => {
  const { clock, events, log } = setUp();
  for (let i = 0; i < 10_000; i++) {
    await log.record(refusal(undefined, { type: 'token.refused', code: 'token_refused', subjects: [`token:${i}`] }));
  }
  assert.equal(events.length, 0);
  clock.advance(WINDOW_MS);
  await log.flush();
  assert.equal(events.length, 1);
  assert.deepEqual(events[0]?.subjects, []);
  assert.equal(events[0]?.body['count'], 10_000);
  assert.equal(events[0]?.body['caller'], 'anonymous');
});

test('many callers fill no memory and no log', async () => {
  const { events, log } = setUp();
  for (let i = 0; i < 3 * KINDS_APART; i++) await log.record(refusal(`caller ${i}`));
  assert.equal(events.length, KINDS_APART);
  await log.flush(true);
  assert.equal(events.length, KINDS_APART + 1);
  assert.deepEqual([events.at(-1)?.body['caller'], events.at(-1)?.body['count']], ['others', 2 * KINDS_APART]);
});

test('a clock that went back ends the window', async () => {
  const { clock, events, log } = setUp();
  await log.record(refusal(undefined));
  clock.advance(-1);
  await log.flush();
  assert.equal(events.length, 1);
});

test('a ledger that cannot be written takes no refusal down with it', async () => {
  const warned: string[] = [];
  const log = new RefusalLog(() => Promise.reject(new Error('disk full')), manualClock(0), {
    ...silentLog,
    warn: (event) => warned.push(event),
  });
  await log.record(refusal('one'));
  assert.deepEqual(warned, ['refusal not recorded']);
});
