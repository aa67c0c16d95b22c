/** Where an older backup was put in place: what held once, and what had ended. */
import assert from 'node:assert/strict';
import { onEachEngine } from '../../test/engines.ts';
import { createInstallation, register } from '../../test/installation.ts';
import { type ErrorCode, isWritError } from '../base/error.ts';
import { newBatch } from '../db/batch.ts';
import type { RecordedEvent } from '../ledger/entry.ts';
import { insertEmergency, readEmergency } from '../registry/emergency.ts';
import { expireApprovals } from './end.ts';
import { replayEnds, voidOpen } from './replay.ts';
import { readApproval } from './store.ts';
import { ask, decide, gone, officers, partsOf, restore, teamGone } from './testdata/people.ts';

const code = (wanted: ErrorCode) => (error: unknown) => isWritError(error, wanted);

onEachEngine('after a restore what was used stays used, and after a lost tail nothing is open', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { database, clock, commit } = installation;
  const { ada, bob, grace } = await officers(installation);
  await register(installation, 'planner');
  await gone(installation);
  const [first, second] = [await ask(installation, ada), await ask(installation, bob)];
  for (const one of [bob, grace]) await decide(installation, one, first);
  // As a backup has it that was made before the use.
  const event: RecordedEvent = {
    ...{ leaf: 1, type: 'approval.used', time: clock.now(), nonce: '', subjects: [] },
    body: { approval: first.id },
  };
  const replayed = newBatch();
  replayed.writes.push(...replayEnds([event]));
  await commit(replayed);
  await assert.rejects(restore(installation, ada, first.id), code('needs_approval'));
  assert.equal((await readApproval(database, second.id, clock.now()))?.status, 'pending', 'no other is touched');
  for (const one of [ada, grace]) await decide(installation, one, second);
  const lost = newBatch();
  lost.writes.push(...voidOpen(clock.now()));
  await commit(lost);
  await assert.rejects(restore(installation, bob, second.id), code('needs_approval'));
});

onEachEngine(
  'after a restore what had ended is over: a request by its time, emergency access before it',
  async ({ open }) => {
    const installation = await createInstallation(await open());
    const { database, clock, commit } = installation;
    const { ada, bob } = await officers(installation);
    await teamGone(installation);
    const [first, second] = [await ask(installation, ada), await ask(installation, bob)];
    const emergency = {
      ...({
        id: first.id,
        kind: 'break-glass',
        operator: 'bea',
        person: 'bea',
        purpose: 'x',
        approval: first.id,
      } as const),
      ...{ people: ['bob'], beganAt: clock.now(), endsAt: clock.now() + 900_000 },
    };
    const begun = newBatch();
    insertEmergency(begun, emergency);
    assert.ok((await commit(begun)).committed);
    // What Writ records of ends goes to the anchor; here are its entries, beside a backup that has none of them.
    const since = (await installation.events()).length;
    const ends = newBatch();
    ends.events.push({ type: 'approval.expired', subjects: [], body: { approval: first.id } });
    const ended_at = new Date(clock.now() + 1000).toISOString();
    ends.events.push({ type: 'emergency.ended', subjects: [], body: { emergency: emergency.id, ended_at } });
    await commit(ends);
    for (const _ of ['once', 'and again']) {
      const replayed = newBatch();
      replayed.writes.push(...replayEnds(await installation.events(since)));
      replayed.bumpsEpoch = true;
      await commit(replayed);
    }
    assert.equal((await readApproval(database, first.id, clock.now()))?.status, 'expired');
    assert.equal((await readApproval(database, second.id, clock.now()))?.status, 'pending', 'no other is touched');
    const { endedAt, endsAt } = (await readEmergency(database, emergency.id))!;
    assert.deepEqual([endedAt, endsAt], [clock.now() + 1000, clock.now() + 1000]);
  },
);

onEachEngine('what ends unasked is in the anchor, as are refusals; what was agreed to is not', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { database } = installation;
  const { ada, bob, grace } = await officers(installation);
  await teamGone(installation);
  const first = await ask(installation, ada, 'research', 60);
  await installation.commit({ ...newBatch(), events: [{ type: 'access.refused', subjects: [], body: { count: 1 } }] });
  installation.advance(60_000);
  assert.equal(await expireApprovals(partsOf(installation)), 1);
  const second = await ask(installation, ada);
  for (const one of [bob, grace]) await decide(installation, one, second);
  const anchored = await database.all('SELECT first_leaf, leaves FROM ledger_anchored');
  const kept = new Set(
    anchored.flatMap((row) => Array.from({ length: Number(row['leaves']) }, (_, at) => Number(row['first_leaf']) + at)),
  );
  const types = (await installation.events())
    .filter(({ type }) => type.startsWith('approval.') || type === 'access.refused')
    .map(({ type, leaf }) => [type, kept.has(leaf)]);
  assert.deepEqual(types, [
    ['approval.requested', false],
    ['access.refused', true],
    ['approval.expired', true],
    ['approval.requested', false],
    ['approval.decided', false],
    ['approval.decided', false],
    ['approval.granted', false],
  ]);
  assert.equal(first.status, 'pending');
});
