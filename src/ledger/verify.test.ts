import assert from 'node:assert/strict';
import { chmodSync, copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync, type SQLInputValue } from 'node:sqlite';
import { describe, it } from 'node:test';
import { silentLog } from '../base/log.ts';
import { openSqlite } from '../db/sqlite.ts';
import { Anchor } from './anchor.ts';
import { logSigner } from './log-signer.ts';
import { Sequencer } from './sequencer.ts';
import { startNewLog } from './start-log.ts';
import { change, revoke, type TestLedger, withLedger } from './testdata/ledger.ts';
import { type VerifyOptions, verifyLedger } from './verify.ts';

/** Verifies the database at `path` with the ledger's keys; gives the findings as lines. */
async function findings(ledger: TestLedger, path: string, more: Partial<VerifyOptions> = {}): Promise<string[]> {
  const reader = openSqlite({ path, readOnly: true });
  const found: string[] = [];
  const { keys } = logSigner('any', ledger.keys);
  const anchor = Anchor.reading(join(ledger.directory, 'anchor'), silentLog);
  const report = (where: string, what: string): void => void found.push(`${where} ${what}`);
  try {
    const summary = await verifyLedger({ reader, keys, anchor, report, ...more });
    assert.equal(summary.findings, found.length);
  } finally {
    await reader.close();
  }
  return found;
}

/** A log of 290 entries with revocations, several checkpoints and a second log that took over; nobody writes to it. */
async function withFinishedLedger(run: (ledger: TestLedger, path: string) => Promise<void>): Promise<void> {
  await withLedger(async (ledger) => {
    const { sequencer, options, clock, directory, database } = ledger;
    for (let i = 0; i < 3; i++) {
      await Promise.all(Array.from({ length: 60 }, (_, k) => sequencer.commit(change(`a${i}-${k}`))));
      await sequencer.commit(revoke(`r${i}`));
    }
    await sequencer.close();
    clock.advance(7_200_000);
    await startNewLog({ ...options, force: true });
    const second = await Sequencer.open(options);
    for (let i = 0; i < 2; i++) {
      await Promise.all(Array.from({ length: 50 }, (_, k) => second.commit(change(`b${i}-${k}`))));
      await Promise.all(['x', 'y'].map((name) => second.commit(revoke(`${name}${i}`))));
    }
    await second.close();
    await database.transaction(async () => undefined);
    const path = join(directory, 'copy.db');
    const live = new DatabaseSync(join(directory, 'writ.db'), { readOnly: true });
    live.exec(`VACUUM INTO '${path}'`);
    live.close();
    await run(ledger, path);
  });
}

/** What is said of the head beside the log. Nothing that is signed can tell whether it is right. */
const NOT_COVERED = new Set(['ledger_head.time', 'ledger_head.epoch']);

describe('verifyLedger', () => {
  it('finds nothing wrong with what Writ wrote, and says how far it is', () =>
    withFinishedLedger(async (ledger, path) => {
      const progress: number[] = [];
      const seen: number[] = [];
      const check = {
        name: 'counting',
        entries: async (events: readonly { leaf: number }[]) => void seen.push(...events.map((event) => event.leaf)),
        finish: async (report: (where: string, what: string) => void) => report('counting', 'is done'),
      };
      const found = await findings(ledger, path, {
        progress: ({ entries }) => progress.push(entries),
        checks: [check],
      });
      assert.deepEqual(found, ['counting is done']);
      assert.deepEqual(progress, [256, 290]);
      assert.deepEqual(seen, [...Array(290).keys()]);
    }));

  it('finds any change of any value', () =>
    withFinishedLedger(async (ledger, path) => {
      const database = new DatabaseSync(path);
      database.exec('PRAGMA synchronous=OFF');
      const tables = database
        .prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'ledger_%'")
        .all();
      assert.equal(tables.length, 7);
      const missed: string[] = [];
      let tried = 0;
      for (const table of tables.map((row) => String(row['name']))) {
        const columns = database.prepare(`PRAGMA table_info(${table})`).all();
        const key = columns.filter((column) => Number(column['pk']) > 0).map((column) => String(column['name']));
        const rows = database.prepare(`SELECT * FROM ${table}`).all();
        for (const column of columns.map((one) => String(one['name']))) {
          if (NOT_COVERED.has(`${table}.${column}`)) continue;
          for (const row of pick(rows, 4)) {
            const old = row[column] as SQLInputValue;
            const where = key.map((name) => `${name} = ?`).join(' AND ');
            const at = key.map((name) => row[name] as SQLInputValue);
            const altered = alter(old);
            const set = database.prepare(`UPDATE OR REPLACE ${table} SET ${column} = ? WHERE ${where}`);
            set.run(altered, ...at);
            tried++;
            if ((await findings(ledger, path)).length === 0) missed.push(`${table}.${column} of ${at.join()}`);
            database.exec(`BEGIN; DELETE FROM ${table}`);
            const marks = columns.map(() => '?').join();
            const insert = database.prepare(`INSERT INTO ${table} VALUES (${marks})`);
            for (const again of rows) insert.run(...columns.map((one) => again[String(one['name'])] as SQLInputValue));
            database.exec('COMMIT');
          }
        }
        // Old checkpoints go by themselves, so nobody can miss one.
        for (const row of table === 'ledger_checkpoint' ? [] : pick(rows, 3)) {
          const where = key.map((name) => `${name} = ?`).join(' AND ');
          database.prepare(`DELETE FROM ${table} WHERE ${where}`).run(...key.map((name) => row[name] as SQLInputValue));
          tried++;
          if ((await findings(ledger, path)).length === 0) missed.push(`a row of ${table}`);
          const marks = columns.map(() => '?').join();
          const values = columns.map((one) => row[String(one['name'])] as SQLInputValue);
          database.prepare(`INSERT INTO ${table} VALUES (${marks})`).run(...values);
        }
      }
      database.close();
      assert.deepEqual(missed, []);
      assert.ok(tried > 60);
      assert.deepEqual(await findings(ledger, path), []);
    }));

  it('names the one entry that was altered, and goes on', () =>
    withFinishedLedger(async (ledger, path) => {
      const database = new DatabaseSync(path);
      const [{ entry }] = database.prepare('SELECT entry FROM ledger_entry WHERE leaf = 100').all() as [
        { entry: Uint8Array },
      ];
      const forged = Buffer.from(Buffer.from(entry).toString().replace('"value":1', '"value":2'));
      database.prepare('UPDATE ledger_entry SET entry = ? WHERE leaf = 100').run(forged);
      database.prepare("DELETE FROM ledger_subject WHERE subject = 'agent:a0-7'").run();
      database.close();
      assert.deepEqual(await findings(ledger, path), [
        'entry 8 has a subject without its row in ledger_subject',
        'entry 100 is not the entry that was hashed into the tree',
        'ledger_subject has 286 rows where the entries ask for 287',
      ]);
    }));

  it('finds a history that was rewritten consistently but for the signatures', () =>
    withFinishedLedger(async (ledger, path) => {
      const { testKeys } = await import('./testdata/ledger.ts');
      const { keys } = logSigner('any', testKeys());
      const found = await findings(ledger, path, { keys });
      assert.ok(found.some((line) => line.startsWith('head does not verify')));
      assert.ok(found.some((line) => line === 'log 1 names other keys than those that were given'));
    }));

  it('finds what was done to the anchor, and a database behind it', () =>
    withFinishedLedger(async (ledger, path) => {
      const revocations = join(ledger.directory, 'anchor', 'revocations');
      const whole = readFileSync(revocations, 'utf8');
      const lines = whole.split('\n').filter((line) => line !== '');
      for (const [at] of lines.entries()) {
        const less = lines.filter((_, i) => i !== at);
        writeFileSync(revocations, `${less.join('\n')}\n`);
        assert.ok((await findings(ledger, path)).length > 0, `without line ${at}`);
        for (let i = 0; i < 10; i++) {
          const line = Buffer.from(lines[at]!);
          line[Math.floor((line.length * i) / 10)]! ^= 1;
          writeFileSync(revocations, `${less.join('\n')}\n${line.toString('latin1')}\n`, 'latin1');
          assert.ok((await findings(ledger, path)).length > 0, `line ${at}, octet of ${i} tenths`);
        }
      }
      writeFileSync(revocations, whole);
      const checkpoint = join(ledger.directory, 'anchor', 'checkpoint');
      const note = readFileSync(checkpoint);
      for (let i = 0; i < 20; i++) {
        const altered = Buffer.from(note);
        altered[Math.floor((note.length * i) / 20)]! ^= 1;
        writeFileSync(checkpoint, altered);
        assert.ok((await findings(ledger, path)).length > 0, `checkpoint, octet of ${i} twentieths`);
      }
      writeFileSync(checkpoint, note);
      copyFileSync(path, `${path}.more`);
      chmodSync(`${path}.more`, 0o600);
      const more = openSqlite({ path: `${path}.more` });
      const sequencer = await Sequencer.open({ ...ledger.options, database: more });
      await sequencer.commit(revoke('newest'));
      await sequencer.close();
      await more.close();
      const found = await findings(ledger, path);
      assert.ok(found.some((line) => /anchor checkpoint is of a larger tree than the 290 entries/.test(line)));
      assert.ok(found.some((line) => /anchor knows an entry 290 that is not stored/.test(line)));
    }));
});

function pick<T>(rows: readonly T[], count: number): T[] {
  return rows.length <= count
    ? [...rows]
    : Array.from({ length: count }, (_, i) => rows[Math.floor((rows.length * i) / count)]!);
}

function alter(value: SQLInputValue): SQLInputValue {
  if (typeof value === 'number') return value + 1;
  if (typeof value === 'string') {
    if (value === '') return 'x';
    const at = Math.floor(Math.random() * value.length);
    return `${value.slice(0, at)}${value[at] === 'A' ? 'B' : 'A'}${value.slice(at + 1)}`;
  }
  const bytes = Buffer.from(value as Uint8Array);
  bytes[Math.floor(Math.random() * bytes.length)]! ^= 1 << Math.floor(Math.random() * 8);
  return bytes;
}
