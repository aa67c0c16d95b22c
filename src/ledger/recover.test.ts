import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { postgresMissing, testDatabase } from '../../test/postgres.ts';
import { WritError } from '../base/error.ts';
import type { Commit } from '../db/batch.ts';
import { openPostgres } from '../db/postgres.ts';
import { Edge } from '../merkle/edge.ts';
import { leafHash } from '../merkle/hash.ts';
import { decodeEntry } from './entry.ts';
import { readHead } from './head.ts';
import { Sequencer } from './sequencer.ts';
import { readEntries } from './store.ts';
import { type Faulty, faulty } from './testdata/faulty.ts';
import { change, create, revoke, type TestLedger, withLedger } from './testdata/ledger.ts';

const engines = [
  { name: 'SQLite', skip: false as const },
  { name: 'PostgreSQL', open: async () => openPostgres(await testDatabase()), skip: postgresMissing() ?? false },
];

/** Runs with a database that can be made to fail, and a sequencer on it. */
function withFaults(
  engine: (typeof engines)[number],
  run: (ledger: TestLedger, faults: Faulty) => Promise<void>,
): Promise<void> {
  let faults: Faulty | undefined;
  return withLedger((ledger) => run(ledger, faults!), {
    ...('open' in engine ? { open: engine.open! } : {}),
    wrap(database) {
      faults = faulty(database);
      return faults.database;
    },
    options: { limits: { cosign: 3_600_000, poll: 3_600_000 } },
  });
}

/** Rows, entries, head and tree say the same; gives the names that they hold. */
async function consistent({ database }: TestLedger): Promise<Set<string>> {
  const head = (await readHead(database))!;
  const entries = await readEntries(database, 0, head.size);
  const edge = new Edge();
  for (const entry of entries) edge.append(leafHash(entry));
  assert.deepEqual(Buffer.from(edge.root()), Buffer.from(head.root));
  const count = await database.get('SELECT COUNT(*) AS number_of_rows FROM ledger_entry');
  assert.equal(count!['number_of_rows'], head.size);
  const inLog = new Map<string, number>();
  for (const [leaf, entry] of entries.entries()) {
    const { type, body } = decodeEntry(leaf, entry);
    if (type !== 'log.started') inLog.set(String(body['agent'] ?? body['serial']), leaf);
  }
  const rows = await database.all('SELECT name, leaf FROM state UNION ALL SELECT name, leaf FROM revoked');
  assert.deepEqual(
    new Map(rows.map((row) => [String(row['name']), row['leaf']] as const).sort()),
    new Map([...inLog].sort()),
    'every entry has its row and every row its entry',
  );
  return new Set(inLog.keys());
}

async function whenOpen(sequencer: Sequencer): Promise<void> {
  const start = Date.now();
  while (sequencer.status().state !== 'open' && Date.now() - start < 5000) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  assert.equal(sequencer.status().state, 'open');
}

for (const engine of engines) {
  describe(`a fault on ${engine.name}`, { skip: engine.skip }, () => {
    it('at any statement of a group leaves no trace of what was refused and all of what was committed', () =>
      withFaults(engine, async (ledger, faults) => {
        const { sequencer } = ledger;
        await Promise.all(Array.from({ length: 254 }, (_, i) => sequencer.commit(change(`before${i}`))));
        let reached = true;
        // Every statement on the quick engine, every third where each costs a round trip.
        const stride = engine.name === 'SQLite' ? 1 : 3;
        // One group of this kind fills a tile; the rounds go on until the fault lies beyond the last statement.
        for (let at = 0; reached && at < 60; at += stride) {
          const names = [`a${at}`, `b${at}`, `c${at}`];
          let thrown = false;
          faults.failAt(faults.steps() + at, () => {
            thrown = true;
            return new WritError('internal', 'a planted fault');
          });
          const outcomes = await Promise.allSettled([
            sequencer.commit(create(names[0]!)),
            sequencer.commit(revoke(names[1]!)),
            sequencer.commit(create(names[2]!)),
          ]);
          reached = thrown;
          faults.failAt(-1, () => new Error());
          const there = await consistent(ledger);
          for (const [i, outcome] of outcomes.entries()) {
            assert.equal(there.has(names[i]!), outcome.status === 'fulfilled', `${names[i]} at statement ${at}`);
          }
          assert.ok(outcomes.filter(({ status }) => status === 'rejected').length <= 1, `at statement ${at}`);
        }
        assert.equal(reached, false);
      }));

    for (const how of ['after', 'before'] as const) {
      it(`that leaves open whether a commit happened (it ended ${how}) is told, and is recovered from`, () =>
        withFaults(engine, async (ledger, faults) => {
          const { sequencer } = ledger;
          await sequencer.commit(create('first'));
          faults.loseCommit(how);
          const group = ['x', 'y'].map((name) => sequencer.commit(create(name)));
          for (const one of group) await assert.rejects(one, { code: 'storage_failed', field: 'commit' });
          await whenOpen(sequencer);
          const there = await consistent(ledger);
          assert.deepEqual(there, new Set(how === 'after' ? ['first', 'x', 'y'] : ['first']));
          // What a client does: it asks again, and finds it done or gets it done.
          const again = await Promise.all(['x', 'y'].map((name) => sequencer.commit(create(name))));
          assert.deepEqual(
            again.map((commit: Commit) => commit.committed),
            [how === 'before', how === 'before'],
          );
          await sequencer.commit(create('last'));
          assert.deepEqual(await consistent(ledger), new Set(['first', 'x', 'y', 'last']));
        }));
    }

    it('of the whole database refuses, keeps nothing and ends by itself', () =>
      withFaults(engine, async (ledger, faults) => {
        const { sequencer } = ledger;
        faults.cut(true);
        const refused = await Promise.allSettled(['x', 'y'].map((name) => sequencer.commit(create(name))));
        for (const outcome of refused) {
          assert.equal(outcome.status === 'rejected' && outcome.reason.code, 'storage_failed');
          assert.equal(outcome.status === 'rejected' && outcome.reason.field, undefined);
        }
        faults.cut(false);
        await sequencer.commit(create('z'));
        assert.deepEqual(await consistent(ledger), new Set(['z']));
      }));

    it('while it recovers is waited out', () =>
      withFaults(engine, async (ledger, faults) => {
        const { sequencer } = ledger;
        faults.loseCommit('after');
        const lost = sequencer.commit(create('x'));
        const waiting = lost.catch(() => faults.cut(true));
        await assert.rejects(lost, { field: 'commit' });
        await waiting;
        await new Promise((resolve) => setTimeout(resolve, 80));
        faults.cut(false);
        await whenOpen(sequencer);
        await sequencer.commit(create('y'));
        assert.deepEqual(await consistent(ledger), new Set(['x', 'y']));
      }));

    it('of memory is none: another process goes on from what is stored', () =>
      withFaults(engine, async (ledger, faults) => {
        // As after kill -9: the first sequencer is abandoned in the middle of a group.
        for (const how of ['after', 'before'] as const) {
          faults.loseCommit(how);
          await assert.rejects(ledger.sequencer.commit(create(how)), { field: 'commit' });
          const next = await Sequencer.open(ledger.options);
          await next.commit(create(`next-${how}`));
          await next.close();
          await whenOpen(ledger.sequencer);
        }
        assert.deepEqual(await consistent(ledger), new Set(['after', 'next-after', 'next-before']));
      }));
  });
}

describe('recovery', () => {
  it('refuses a ledger that contradicts itself', () =>
    withLedger(async (ledger) => {
      const { sequencer, database } = ledger;
      await Promise.all(Array.from({ length: 300 }, (_, i) => sequencer.commit(change(`a${i}`))));
      await sequencer.close();
      const damage: [sql: string, undo: string][] = [
        [
          'UPDATE ledger_entry SET leaf = 1000 WHERE leaf = 299',
          'UPDATE ledger_entry SET leaf = 299 WHERE leaf = 1000',
        ],
        ['UPDATE ledger_head SET size = 300', 'UPDATE ledger_head SET size = 301'],
        [
          "UPDATE ledger_head SET note = REPLACE(note, '301', '302')",
          "UPDATE ledger_head SET note = REPLACE(note, '302', '301')",
        ],
        ["UPDATE ledger_log SET origin = 'b.example/ledger'", "UPDATE ledger_log SET origin = 'corp.example/ledger'"],
      ];
      for (const [sql, undo] of damage) {
        await database.transaction((tx) => tx.run(sql));
        await assert.rejects(
          Sequencer.open(ledger.options),
          (error: WritError) => {
            return ['ledger_corrupt', 'bad_config'].includes(error.code);
          },
          sql,
        );
        await database.transaction((tx) => tx.run(undo));
      }
      const again = await Sequencer.open(ledger.options);
      await again.close();
    }));

  it('stops for good when the log goes back under a running sequencer', () =>
    withLedger(async (ledger) => {
      const { sequencer, database } = ledger;
      await sequencer.commit(change('x'));
      const old = (await readHead(database))!;
      await sequencer.commit(change('y'));
      await database.transaction(async (tx) => {
        await tx.run('DELETE FROM ledger_entry WHERE leaf = 2');
        await tx.run('UPDATE ledger_head SET size = ?, root = ?, note = ?', [old.size, old.root, old.note]);
      });
      await assert.rejects(sequencer.commit(change('z')), { code: 'ledger_corrupt' });
    }));
});
