/** A whole ledger for tests: database, keys, anchor and sequencer in a fresh directory. */
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ManualClock, manualClock } from '../../base/clock.ts';
import { silentLog } from '../../base/log.ts';
import { systemRandom } from '../../base/random.ts';
import { type Batch, newBatch } from '../../db/batch.ts';
import type { Database } from '../../db/database.ts';
import { migrate, readMigrations } from '../../db/migrate.ts';
import { openSqlite } from '../../db/sqlite.ts';
import { localSigner } from '../../keys/local.ts';
import { Anchor } from '../anchor.ts';
import { type EpochCell, epochCell } from '../epoch.ts';
import type { LedgerKeys } from '../log-signer.ts';
import { Sequencer, type SequencerOptions } from '../sequencer.ts';
import { startLog } from '../start-log.ts';

const TRUST_DOMAIN = 'corp.example';
export const NOW = 1_790_000_000_000;

export interface TestLedger {
  readonly directory: string;
  readonly database: Database;
  readonly keys: LedgerKeys;
  readonly anchor: Anchor;
  readonly clock: ManualClock;
  readonly epoch: EpochCell;
  /** What a sequencer on this database takes. */
  readonly options: SequencerOptions & { readonly trustDomain: string };
  readonly sequencer: Sequencer;
}

export function testKeys(): LedgerKeys {
  return {
    checkpoint: localSigner(generateKeyPairSync('ed25519').privateKey),
    cosignature: localSigner(generateKeyPairSync('ml-dsa-44').privateKey),
  };
}

/** The schema of the ledger, and two tables to write to: `state (name, value, leaf)` and `revoked (name, leaf)`. */
export async function testSchema(database: Database): Promise<void> {
  await migrate(database, { migrations: readMigrations().filter(({ name }) => /-(partition|ledger|feed)$/.test(name)) });
  await database.transaction(async (tx) => {
    await tx.run('CREATE TABLE state (name TEXT NOT NULL PRIMARY KEY, value BIGINT NOT NULL, leaf BIGINT NOT NULL)');
    await tx.run('CREATE TABLE revoked (name TEXT NOT NULL PRIMARY KEY, leaf BIGINT NOT NULL)');
  });
}

export async function withLedger(
  run: (ledger: TestLedger) => Promise<void>,
  how: {
    readonly open?: (directory: string) => Promise<Database>;
    readonly options?: Partial<SequencerOptions>;
    readonly wrap?: (database: Database) => Database;
  } = {},
): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'writ-ledger-'));
  const open = how.open ?? (async () => openSqlite({ path: join(directory, 'writ.db') }));
  const plain = await open(directory);
  const anchor = await Anchor.open(join(directory, 'anchor'), silentLog);
  let sequencer: Sequencer | undefined;
  try {
    await testSchema(plain);
    const database = how.wrap?.(plain) ?? plain;
    const clock = manualClock(NOW);
    const epoch = epochCell();
    const options = {
      ...{ database, keys: testKeys(), anchor, clock, epoch, log: silentLog, random: systemRandom() },
      ...{ partitions: { table: () => 'state' }, trustDomain: TRUST_DOMAIN, replay: replayRevoked },
      ...how.options,
    };
    await startLog({ ...options, database: plain });
    sequencer = await Sequencer.open(options);
    const { keys } = options;
    await run({ directory, database, keys, anchor, clock, epoch, options, sequencer });
  } finally {
    await sequencer?.close();
    await plain.close();
    rmSync(directory, { recursive: true });
  }
}

/** Sets a row of `state` and says so. */
export function change(name: string, value = 1): Batch {
  const batch = newBatch();
  batch.writes.push({
    sql:
      'INSERT INTO state (name, value, leaf) VALUES (?, ?, ?) ' +
      'ON CONFLICT (name) DO UPDATE SET value = excluded.value, leaf = excluded.leaf',
    params: [name, value, { leaf: 0 }],
  });
  batch.events.push({ type: 'agent.updated', subjects: [`agent:${name}`], body: { agent: name, value } });
  return batch;
}

/** The same, but only when there is no such row. */
export function create(name: string): Batch {
  const batch = change(name);
  batch.checks.push({
    sql: 'SELECT 1 AS found FROM state WHERE name = ?',
    params: [name],
    want: 'absent',
    refusal: 'conflict',
    reason: `${name} is taken`,
  });
  return batch;
}

/** An anchored batch that bumps the epoch. */
export function revoke(name: string): Batch {
  const batch = newBatch();
  batch.writes.push({
    sql: 'INSERT INTO revoked (name, leaf) VALUES (?, ?) ON CONFLICT (name) DO NOTHING',
    params: [name, { leaf: 0 }],
  });
  batch.events.push({ type: 'certificate.revoked', subjects: [`serial:${name}`], body: { serial: name } });
  batch.bumpsEpoch = true;
  batch.anchored = true;
  return batch;
}

const replayRevoked: NonNullable<SequencerOptions['replay']> = async (events) => {
  const batch = newBatch();
  for (const event of events) batch.writes.push(...revoke(String(event.body['serial'])).writes);
  return batch;
};

/** A batch whose write breaks a constraint. */
export function broken(): Batch {
  const batch = change('broken');
  batch.writes.push({ sql: 'INSERT INTO revoked (name, leaf) VALUES (?, ?)', params: [null, 1] });
  return batch;
}
