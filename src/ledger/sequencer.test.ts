import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { postgresMissing, testDatabase } from '../../test/postgres.ts';
import { silentLog } from '../base/log.ts';
import { type Batch, newBatch } from '../db/batch.ts';
import type { Database } from '../db/database.ts';
import { openPostgres } from '../db/postgres.ts';
import { Edge } from '../merkle/edge.ts';
import { leafHash } from '../merkle/hash.ts';
import { parseNote, verifyNote } from '../merkle/note.ts';
import { Anchor } from './anchor.ts';
import { latestCheckpoint } from './checkpoint-store.ts';
import { decodeEntry } from './entry.ts';
import { epochCell } from './epoch.ts';
import { readHead } from './head.ts';
import { logSigner } from './log-signer.ts';
import { Sequencer } from './sequencer.ts';
import { readEntries } from './store.ts';
import { broken, change, create, NOW, revoke, type TestLedger, withLedger } from './testdata/ledger.ts';

const engines: { name: string; open?: () => Promise<Database>; skip: string | false }[] = [
  { name: 'SQLite', skip: false },
  { name: 'PostgreSQL', open: async () => openPostgres(await testDatabase()), skip: postgresMissing() ?? false },
];

/** The stored head, after checking that it is the tree of the stored entries. */
async function checkedHead(ledger: TestLedger): Promise<{ size: number; epoch: number }> {
  const head = (await readHead(ledger.database))!;
  const edge = new Edge();
  for (const entry of await readEntries(ledger.database, 0, head.size)) edge.append(leafHash(entry));
  assert.deepEqual(Buffer.from(head.root), Buffer.from(edge.root()));
  verifyNote(parseNote(head.note), logSigner(head.origin, ledger.keys).keys);
  return head;
}

for (const { name, open, skip } of engines) {
  describe(`Sequencer on ${name}`, { skip }, () => {
    const how = open === undefined ? {} : { open };

    it('starts with an entry that names the log and its keys', () =>
      withLedger(async ({ database, keys }) => {
        const [entry] = await readEntries(database, 0, 1);
        const event = decodeEntry(0, entry!);
        assert.equal(event.type, 'log.started');
        assert.equal(event.body['origin'], 'corp.example/ledger');
        assert.equal((event.body['keys'] as string[]).length, 2);
        assert.ok(keys);
      }, how));

    it('commits what is in flight together, in order', () =>
      withLedger(async (ledger) => {
        const { sequencer, database } = ledger;
        const commits = await Promise.all(Array.from({ length: 600 }, (_, i) => sequencer.commit(change(`a${i}`, i))));
        commits.forEach((commit, i) => {
          assert.deepEqual(commit, { committed: true, firstLeaf: i + 1 });
        });
        const rows = await database.all('SELECT name, value, leaf FROM state ORDER BY leaf');
        rows.forEach((row, i) => {
          assert.deepEqual({ ...row }, { name: `a${i}`, value: i, leaf: i + 1 });
        });
        assert.equal((await checkedHead(ledger)).size, 601);
        const subjects = await database.all('SELECT leaf FROM ledger_subject WHERE subject = ?', ['agent:a599']);
        assert.deepEqual(
          subjects.map((row) => row['leaf']),
          [600],
        );
      }, how));

    it('judges each act after those before it, and a refused one leaves no trace', () =>
      withLedger(async (ledger) => {
        const { sequencer, database } = ledger;
        const commits = await Promise.all(['x', 'y', 'x', 'z', 'y'].map((agent) => sequencer.commit(create(agent))));
        assert.deepEqual(
          commits.map((commit) => (commit.committed ? commit.firstLeaf : commit.reason)),
          [1, 2, 'x is taken', 3, 'y is taken'],
        );
        assert.equal((await checkedHead(ledger)).size, 4);
        assert.equal((await database.all('SELECT name FROM state')).length, 3);
        const alone = await sequencer.commit(create('x'));
        assert.deepEqual(alone, { committed: false, refusal: 'conflict', reason: 'x is taken' });
        assert.equal((await checkedHead(ledger)).size, 4);
      }, how));

    it('does not let a batch that throws hurt its neighbours', () =>
      withLedger(async (ledger) => {
        const { sequencer, database } = ledger;
        const outcomes = await Promise.allSettled([
          sequencer.commit(change('before')),
          sequencer.commit(broken()),
          sequencer.commit(change('after')),
          sequencer.commit(create('before')),
        ]);
        assert.deepEqual(
          outcomes.map((outcome) => outcome.status),
          ['fulfilled', 'rejected', 'fulfilled', 'fulfilled'],
        );
        assert.equal((outcomes[3] as PromiseFulfilledResult<{ committed: boolean }>).value.committed, false);
        assert.equal((await checkedHead(ledger)).size, 3);
        assert.equal((await database.all('SELECT name FROM state')).length, 2);
        await sequencer.commit(change('later'));
        assert.equal((await checkedHead(ledger)).size, 4);
      }, how));

    it('publishes the epoch before it answers', () =>
      withLedger(async (ledger) => {
        const { sequencer, epoch } = ledger;
        const before = epoch.current();
        await sequencer.commit(change('x'));
        assert.equal(epoch.current(), before);
        await Promise.all(['p', 'q', 'r'].map((agent) => sequencer.commit(revoke(agent))));
        assert.equal(epoch.current(), before + 3);
        assert.equal((await checkedHead(ledger)).epoch, before + 3);
      }, how));

    it('asks for nobody’s standing while the epoch is the one it was found under, and always when it moved', () =>
      withLedger(async ({ sequencer, epoch }) => {
        const under = epoch.current();
        // A check that cannot hold shows whether it was asked.
        const standing = (name: string, how: { under?: number } = { under }): Batch => {
          const batch = change(name);
          const check = { sql: 'SELECT 1 WHERE 1 = 0', params: [], want: 'present' } as const;
          batch.checks.push({ ...check, refusal: 'revoked', reason: 'asked', standing: true });
          return { ...batch, ...how };
        };
        const together = [standing('a'), standing('b', {}), revoke('p'), standing('c'), create('d')];
        const outcomes = await Promise.all(together.map((batch) => sequencer.commit(batch)));
        assert.deepEqual(
          outcomes.map(({ committed }) => committed),
          [true, false, true, false, true],
        );
        assert.equal((await sequencer.commit(standing('e'))).committed, false);
        assert.equal((await sequencer.commit(standing('f', { under: under + 1 }))).committed, true);
        const taken = { ...create('f'), under: under + 1 };
        assert.equal((await sequencer.commit(taken)).committed, false, 'other checks are asked all the same');
      }, how));

    it('follows what another process appends', () =>
      withLedger(
        async (ledger) => {
          const epoch = epochCell();
          const anchor = await Anchor.open(join(ledger.directory, 'anchor'), silentLog);
          const other = await Sequencer.open({ ...ledger.options, epoch, anchor });
          try {
            for (let i = 0; i < 5; i++) {
              await Promise.all(Array.from({ length: 70 }, (_, k) => ledger.sequencer.commit(change(`a${i}-${k}`))));
              await Promise.all(Array.from({ length: 70 }, (_, k) => other.commit(change(`b${i}-${k}`))));
            }
            assert.equal((await checkedHead(ledger)).size, 701);
            await Promise.all([ledger.sequencer.commit(revoke('p')), other.commit(revoke('q'))]);
            const head = await checkedHead(ledger);
            assert.equal(head.size, 703);
            const start = Date.now();
            while ((epoch.current() < head.epoch || ledger.epoch.current() < head.epoch) && Date.now() - start < 2000) {
              await new Promise((resolve) => setTimeout(resolve, 5));
            }
            assert.equal(epoch.current(), head.epoch);
            assert.equal(ledger.epoch.current(), head.epoch);
          } finally {
            await other.close();
          }
        },
        { ...how, options: { limits: { poll: 20 } } },
      ));

    it('goes on where it stopped', () =>
      withLedger(async (ledger) => {
        await Promise.all(Array.from({ length: 300 }, (_, i) => ledger.sequencer.commit(change(`a${i}`))));
        await ledger.sequencer.close();
        await assert.rejects(ledger.sequencer.commit(change('late')), { code: 'unavailable' });
        const again = await Sequencer.open(ledger.options);
        assert.deepEqual(await again.commit(change('next')), { committed: true, firstLeaf: 301 });
        await again.close();
        assert.equal((await checkedHead(ledger)).size, 302);
      }, how));

    it('cosigns the head at intervals and at the end', () =>
      withLedger(
        async (ledger) => {
          const { sequencer, database, keys } = ledger;
          await sequencer.commit(change('x'));
          const start = Date.now();
          while ((await latestCheckpoint(database))?.size !== 2 && Date.now() - start < 2000) {
            await new Promise((resolve) => setTimeout(resolve, 5));
          }
          await sequencer.commit(change('y'));
          await sequencer.close();
          const kept = (await latestCheckpoint(database))!;
          assert.equal(kept.size, 3);
          const signer = logSigner('corp.example/ledger', keys);
          assert.deepEqual(verifyNote(parseNote(kept.note), signer.keys), [...signer.keys]);
          assert.equal((await ledger.anchor.checkpoint())?.note, kept.note);
        },
        { ...how, options: { limits: { cosign: 20 } } },
      ));

    it('commits a batch without events, and takes the place of nothing', () =>
      withLedger(async (ledger) => {
        const batch = newBatch();
        batch.writes.push({ sql: 'INSERT INTO revoked (name, leaf) VALUES (?, ?)', params: ['n', 0] });
        assert.deepEqual(await ledger.sequencer.commit(batch), { committed: true, firstLeaf: 1 });
        assert.equal((await checkedHead(ledger)).size, 1);
        assert.equal((await ledger.database.all('SELECT name FROM revoked')).length, 1);
      }, how));
  });
}

describe('Sequencer', () => {
  it('refuses when the clock is behind what is recorded', () =>
    withLedger(async ({ sequencer, clock }) => {
      await sequencer.commit(change('x'));
      clock.set(NOW - 9_000);
      await sequencer.commit(change('y'));
      clock.set(NOW - 11_000);
      await assert.rejects(sequencer.commit(change('z')), { code: 'clock' });
      clock.set(NOW);
      await sequencer.commit(change('z'));
    }));

  it('goes back to an earlier time only where that is put on record', () =>
    withLedger(async (ledger) => {
      const { sequencer, clock } = ledger;
      clock.set(NOW + 1_000_000);
      await sequencer.commit(change('x'));
      clock.set(NOW);
      await assert.rejects(sequencer.commit(change('y')), { code: 'clock' });
      const record = newBatch();
      record.events.push({ type: 'log.clock_set_back', subjects: [], body: { from: 'a', to: 'b' } });
      const [recorded, neighbour] = await Promise.allSettled([
        sequencer.acceptClock(record),
        sequencer.commit(change('y')),
      ]);
      assert.deepEqual([recorded.status, neighbour.status], ['fulfilled', 'fulfilled']);
      assert.equal((await readHead(ledger.database))?.time, NOW);
      clock.set(NOW - 11_000);
      await assert.rejects(sequencer.commit(change('z')), { code: 'clock' });
      clock.set(NOW + 1);
      await sequencer.commit(change('z'));
    }));

  it('refuses at once what it cannot queue, and what is no event', () =>
    withLedger(
      async ({ sequencer }) => {
        const outcomes = await Promise.allSettled(
          Array.from({ length: 12 }, (_, i) => sequencer.commit(change(`a${i}`))),
        );
        assert.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 8);
        const batch = newBatch();
        batch.events.push({ type: 'no.such', subjects: [], body: {} });
        await assert.rejects(sequencer.commit(batch), { code: 'internal' });
      },
      { options: { limits: { queue: 8, group: 3, cosign: 60_000 } } },
    ));

  it('refuses a write that names an event its batch does not have', () =>
    withLedger(async ({ sequencer }) => {
      const batch = change('x');
      batch.writes.push({ sql: 'INSERT INTO revoked (name, leaf) VALUES (?, ?)', params: ['n', { leaf: 1 }] });
      await assert.rejects(sequencer.commit(batch), { code: 'internal' });
    }));
});
