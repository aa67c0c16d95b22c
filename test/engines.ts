/** Runs a contract test on both engines, each time with an empty database of its own. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Database } from '../src/db/database.ts';
import { openPostgres } from '../src/db/postgres.ts';
import { openSqlite } from '../src/db/sqlite.ts';
import { type PostgresAddress, postgresMissing, testDatabase } from './postgres.ts';

/** Where a database is, as plain data, so that a child process can open it, too. */
export type Place =
  | { readonly engine: 'sqlite'; readonly path: string }
  | { readonly engine: 'postgres'; readonly address: PostgresAddress };

export interface Engine {
  readonly place: Place;
  /** Opens it once more; closed when the test ends. */
  open(options?: { readonly readOnly?: boolean }): Promise<Database>;
}

export function openPlace(place: Place, options: { readonly readOnly?: boolean } = {}): Promise<Database> {
  if (place.engine === 'postgres') return openPostgres({ ...place.address, ...options });
  return Promise.resolve(openSqlite({ path: place.path, ...options }));
}

export function onEachEngine(name: string, run: (engine: Engine) => Promise<void>): void {
  test(`${name} (SQLite)`, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'writ-db-'));
    try {
      await withPlace({ engine: 'sqlite', path: join(folder, 'writ.db') }, run);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
  test(`${name} (PostgreSQL)`, { skip: postgresMissing() ?? false }, async () => {
    await withPlace({ engine: 'postgres', address: await testDatabase() }, run);
  });
}

async function withPlace(place: Place, run: (engine: Engine) => Promise<void>): Promise<void> {
  const opened: Database[] = [];
  try {
    await run({
      place,
      open: async (options) => {
        const database = await openPlace(place, options);
        opened.push(database);
        return database;
      },
    });
  } finally {
    for (const database of opened) await database.close();
  }
}
