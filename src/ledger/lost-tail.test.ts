import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { postgresMissing, testDatabase } from '../../test/postgres.ts';
import { silentLog } from '../base/log.ts';
import { openPostgres } from '../db/postgres.ts';
import { Anchor } from './anchor.ts';
import { type Head, readHead } from './head.ts';
import { logSigner } from './log-signer.ts';
import { Sequencer } from './sequencer.ts';
import { startNewLog } from './start-log.ts';
import { change, revoke, type TestLedger, withLedger } from './testdata/ledger.ts';
import { verifyLedger } from './verify.ts';

/** Takes the database back to what it was at a head, as an older copy or a failed-over replica would. */
async function goBack({ database }: TestLedger, head: Head): Promise<void> {
  await database.transaction(async (tx) => {
    const { size, root, note, epoch, time } = head;
    for (const table of [
      'ledger_entry WHERE leaf',
      'ledger_subject WHERE leaf',
      'state WHERE leaf',
      'revoked WHERE leaf',
      'revocation_feed WHERE leaf',
    ]) {
      await tx.run(`DELETE FROM ${table} >= ?`, [size]);
    }
    await tx.run('DELETE FROM ledger_anchored WHERE first_leaf >= ?', [size]);
    await tx.run('DELETE FROM ledger_checkpoint WHERE size > ?', [size]);
    const params = [size, root, note, epoch, time];
    await tx.run('UPDATE ledger_head SET size = ?, root = ?, note = ?, epoch = ?, time = ?', params);
  });
}

async function verified({ database, keys, directory }: TestLedger): Promise<void> {
  const found: string[] = [];
  const anchor = Anchor.reading(join(directory, 'anchor'), silentLog);
  const report = (where: string, what: string): void => void found.push(`${where} ${what}`);
  await verifyLedger({ reader: database, keys: logSigner('any', keys).keys, anchor, report });
  assert.deepEqual(found, []);
}

const names = async ({ database }: TestLedger): Promise<unknown[]> =>
  (await database.all('SELECT name FROM revoked ORDER BY leaf')).map((row) => row['name']);

const engines = [
  { name: 'SQLite', skip: false as const, how: {} },
  {
    name: 'PostgreSQL',
    skip: postgresMissing() ?? false,
    how: { open: async () => openPostgres(await testDatabase()) },
  },
];

for (const { name, skip, how } of engines) {
  describe(`a database that went back on ${name}`, { skip }, () => {
    it('gets the same tree again from an anchor that has all of it', () =>
      withLedger(async (ledger) => {
        await Promise.all(['a', 'b'].map((agent) => ledger.sequencer.commit(change(agent))));
        const before = (await readHead(ledger.database))!;
        for (const serial of ['r', 's', 't']) await ledger.sequencer.commit(revoke(serial));
        await ledger.sequencer.close();
        const after = (await readHead(ledger.database))!;
        await goBack(ledger, before);
        assert.deepEqual(await names(ledger), []);
        const again = await Sequencer.open(ledger.options);
        await again.close();
        assert.equal((await readHead(ledger.database))!.note, after.note);
        assert.deepEqual(await names(ledger), ['r', 's', 't']);
        await verified(ledger);
      }, how));

    it('goes on in a new log when something is lost, and that one may go back, too', () =>
      withLedger(async (ledger) => {
        await ledger.sequencer.commit(change('a'));
        const before = (await readHead(ledger.database))!;
        await ledger.sequencer.commit(revoke('r'));
        await ledger.sequencer.commit(change('lost'));
        await ledger.sequencer.close();
        for (const origin of ['corp.example/ledger-2', 'corp.example/ledger-3']) {
          await goBack(ledger, before);
          await ledger.database.transaction(async (tx) => {
            await tx.run('UPDATE ledger_head SET log = 1');
            await tx.run('DELETE FROM ledger_log WHERE log > 1');
          });
          await assert.rejects(Sequencer.open(ledger.options), { code: 'behind_anchor' });
          const { types: _, ...made } = await startNewLog(ledger.options);
          assert.deepEqual(made, { origin, replayed: 1 });
          assert.deepEqual(await names(ledger), ['r']);
          const again = await Sequencer.open(ledger.options);
          await again.commit(change('more'));
          await again.close();
        }
      }, how));

    it('does not start a new log where nothing is lost, unless it is told that the anchor is', () =>
      withLedger(async (ledger) => {
        await ledger.sequencer.commit(revoke('r'));
        await ledger.sequencer.close();
        await assert.rejects(startNewLog(ledger.options), { code: 'conflict' });
        const { anchor: _, ...blind } = ledger.options;
        await assert.rejects(startNewLog(blind), { code: 'conflict' });
        const { origin } = await startNewLog({ ...ledger.options, force: true });
        assert.equal(origin, 'corp.example/ledger-2');
        await verified(ledger);
      }, how));
  });
}
