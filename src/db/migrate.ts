import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Clock, systemClock } from '../base/clock.ts';
import { WritError } from '../base/error.ts';
import type { Database, Reader, Transaction } from './database.ts';
import { tableName } from './partition.ts';
import { definitionFor, splitStatements } from './sql.ts';

/**
 * One step of the schema: a file `NNNN-name.sql` of the shared subset. Once released it never changes. A statement about
 * `{partition:<family>}` is done to every partition of that family that there is.
 */
export interface Migration {
  readonly number: number;
  readonly name: string;
  readonly text: string;
}

export interface MigrateOptions {
  /** Default: the files of `migrations/`. */
  readonly migrations?: readonly Migration[];
  readonly clock?: Clock;
}

/** Any number will do, as long as every replica takes the same one. It never changes. */
const ADVISORY_LOCK = 0x57_72_69_74;

const CREATE_RECORD =
  'CREATE TABLE IF NOT EXISTS migration ' +
  '(number BIGINT NOT NULL PRIMARY KEY, name TEXT NOT NULL, digest TEXT NOT NULL, applied_at BIGINT NOT NULL)';

/**
 * Brings the schema up to this version and gives the names of the migrations that this call applied. Each is one
 * transaction together with its record, so an interrupted run goes on where it stopped; two replicas that start
 * together take turns. Rejects with `newer_version` when the database has seen a migration that is not in the list, or
 * with other text than the list has; nothing is changed then. A statement of a migration may take no longer than any
 * other, so none may rewrite a table that grows.
 */
export async function migrate(database: Database, options: MigrateOptions = {}): Promise<string[]> {
  const { migrations = readMigrations(), clock = systemClock } = options;
  const applied: string[] = [];
  for (;;) {
    const step = await database.transaction(async (tx): Promise<Migration | 'busy' | 'done'> => {
      if (!(await lock(tx, database.engine))) return 'busy';
      const next = migrations[await position(tx, database.engine, migrations)];
      if (next === undefined) return 'done';
      for (const statement of splitStatements(next.text)) {
        for (const text of await inPartitions(tx, statement)) await tx.run(definitionFor(database.engine, text));
      }
      await tx.run('INSERT INTO migration (number, name, digest, applied_at) VALUES (?, ?, ?, ?)', [
        next.number,
        next.name,
        digest(next.text),
        clock.now(),
      ]);
      return next;
    });
    if (step === 'done') return applied;
    if (step === 'busy') await sleep(100);
    else applied.push(step.name);
  }
}

/** The migrations of a folder, by number. Throws `internal` for a file whose name has another shape or a number twice. */
export function readMigrations(folder: URL = migrationsFolder()): Migration[] {
  const migrations: Migration[] = [];
  for (const file of readdirSync(folder).sort()) {
    const match = /^(\d{4})-([a-z0-9-]+)\.sql$/.exec(file);
    const number = Number(match?.[1]);
    if (match === null || migrations.at(-1)?.number === number) {
      throw new WritError('internal', 'A file of the migrations has a wrong name or a number that is taken.');
    }
    migrations.push({ number, name: match[0].slice(0, -4), text: readFileSync(new URL(file, folder), 'utf8') });
  }
  return migrations;
}

/** Beside this file, or, when this is part of a bundle, in the folder `db/` of the build that the bundle lies in. */
function migrationsFolder(): URL {
  const places = ['migrations/', 'db/migrations/', '../db/migrations/', '../../db/migrations/'];
  const folder = places.map((place) => new URL(place, import.meta.url)).find((place) => existsSync(place));
  if (folder === undefined) throw new WritError('internal', 'The migrations are missing from this installation.');
  return folder;
}

/**
 * Lets one replica through at a time; gives false while another is at it. SQLite's write lock does the same, and also
 * waits. On an engine without advisory locks the primary key of `migration` refuses the slower one.
 */
async function lock(tx: Transaction, engine: Database['engine']): Promise<boolean> {
  if (engine === 'sqlite') return true;
  const row = await tx.get('SELECT pg_try_advisory_xact_lock(CAST(? AS BIGINT)) AS held', [ADVISORY_LOCK]);
  return row?.['held'] === 1;
}

/** A statement that names `{partition:<family>}`, once for each table of the family that there is. */
async function inPartitions(tx: Transaction, statement: string): Promise<string[]> {
  const family = /\{partition:([a-z_]+)\}/.exec(statement)?.[1];
  if (family === undefined) return [statement];
  const rows = await tx.all('SELECT number FROM partition WHERE family = ? AND dropped = 0 ORDER BY number', [family]);
  return rows.map(({ number }) => statement.replaceAll(`{partition:${family}}`, tableName(family, Number(number))));
}

/** How many of `migrations` have been applied. */
async function position(
  tx: Transaction,
  engine: Database['engine'],
  migrations: readonly Migration[],
): Promise<number> {
  await tx.run(definitionFor(engine, CREATE_RECORD));
  return applied(tx, migrations);
}

/**
 * How many migrations of this version a database lacks; asks only. Rejects with `newer_version` as `migrate` does. A
 * database without the record of migrations is not one to ask.
 */
export async function missingMigrations(reader: Reader): Promise<number> {
  const migrations = readMigrations();
  return migrations.length - (await applied(reader, migrations));
}

async function applied(reader: Pick<Reader, 'all'>, migrations: readonly Migration[]): Promise<number> {
  const rows = await reader.all('SELECT number, name, digest FROM migration ORDER BY number');
  rows.forEach((row, index) => {
    const known = migrations[index];
    if (known === undefined || row['number'] !== known.number) {
      throw new WritError('newer_version', 'The database was written by a newer version of Writ.', {
        remedy: 'Run that version, or restore a backup that this one made.',
      });
    }
    if (row['digest'] !== digest(known.text)) {
      throw new WritError('newer_version', `The database was set up with another text of migration ${known.name}.`, {
        remedy: 'Run the version of Writ that made it.',
      });
    }
  });
  return rows.length;
}

/** Hex SHA-256 over the text with line ends as `\n`, so that a checkout on another system is the same. */
function digest(text: string): string {
  return createHash('sha256').update(text.replaceAll('\r\n', '\n')).digest('hex');
}
