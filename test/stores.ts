/**
 * Runs a test of a store on both engines, each with a fresh, migrated database. Batches are committed one by one in a
 * transaction of their own, checks first, as the sequencer does it, but without a ledger: events are only gathered.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Commit, CommitBatch, LeafIndex, LedgerEvent } from '../src/db/batch.ts';
import type { Database, SqlValue } from '../src/db/database.ts';
import { migrate } from '../src/db/migrate.ts';
import { openPostgres } from '../src/db/postgres.ts';
import { openSqlite } from '../src/db/sqlite.ts';
import { isEventType } from '../src/ledger/event.ts';
import { postgresMissing, testDatabase } from './postgres.ts';

export interface StoreParts {
  readonly database: Database;
  readonly commit: CommitBatch;
  /** Everything recorded so far. */
  readonly events: LedgerEvent[];
  /** How many batches bumped the epoch. */
  readonly epoch: () => number;
}

export function onBothEngines(name: string, run: (parts: StoreParts) => Promise<void>): void {
  onSqlite(name, run);
  test(`${name} (PostgreSQL)`, { skip: postgresMissing() ?? false }, async () => {
    const database = await openPostgres(await testDatabase());
    try {
      await runOn(database, run);
    } finally {
      await database.close();
    }
  });
}

/** For what is above the stores and has no SQL of its own. */
export function onSqlite(name: string, run: (parts: StoreParts) => Promise<void>): void {
  test(`${name} (SQLite)`, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'writ-store-'));
    const database = openSqlite({ path: join(folder, 'writ.db') });
    try {
      await runOn(database, run);
    } finally {
      await database.close();
      rmSync(folder, { recursive: true });
    }
  });
}

async function runOn(database: Database, run: (parts: StoreParts) => Promise<void>): Promise<void> {
  await migrate(database);
  const events: LedgerEvent[] = [];
  let epoch = 0;
  const commit: CommitBatch = (batch) =>
    database.transaction(async (tx): Promise<Commit> => {
      // What crosses threads is plain data.
      const { checks, writes, events: said, bumpsEpoch } = structuredClone(batch);
      for (const check of checks) {
        const row = await tx.get(check.sql, check.params);
        if ((row !== undefined) === (check.want === 'present')) continue;
        return { committed: false, refusal: check.refusal, reason: check.reason };
      }
      const first = events.length;
      for (const { sql, params } of writes) {
        const isLeaf = (param: unknown): param is LeafIndex =>
          typeof param === 'object' && param !== null && 'leaf' in param;
        const values = params.map((param): SqlValue => (isLeaf(param) ? first + param.leaf : param));
        await tx.run(sql, values);
      }
      for (const event of said) {
        assert.ok(isEventType(event.type), `${event.type} is no type of the ledger`);
        assert.equal(JSON.stringify(event.body).includes('null'), false, `${event.type} holds a null`);
      }
      events.push(...said);
      if (bumpsEpoch) epoch += 1;
      return { committed: true, firstLeaf: first };
    });
  await run({ database, commit, events, epoch: () => epoch });
}
