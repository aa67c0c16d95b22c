import assert from 'node:assert/strict';
import { type Engine, onEachEngine } from '../../test/engines.ts';
import { manualClock } from '../base/clock.ts';
import { isWritError } from '../base/error.ts';
import type { Database, Transaction } from './database.ts';
import { migrate, readMigrations } from './migrate.ts';
import type { PartitionFamily } from './partition.ts';
import { PartitionMap } from './partition-map.ts';
import { dropOldestPartition } from './partition-purge.ts';
import { PartitionWriter } from './partition-writer.ts';

const START = 1_800_000_000_000;
const MINUTE = 60_000;

const FAMILY: PartitionFamily = {
  name: 'thing',
  open: [
    "CREATE TABLE {partition} (id INTEGER PRIMARY KEY, name TEXT NOT NULL, made_at BIGINT NOT NULL) -- a thing's row",
    'CREATE UNIQUE INDEX {partition}_name ON {partition} (name)',
  ],
  closed: ['CREATE INDEX {partition}_made ON {partition} (made_at)'],
  timeColumn: 'made_at',
  rowLimit: 20,
};

const ROW = 'SELECT id, name FROM {partition} WHERE id = ?';

interface Setting extends Engine {
  readonly database: Database;
  readonly clock: ReturnType<typeof manualClock>;
  readonly writer: PartitionWriter;
}

/** Both engines, migrated, with the lock row under which writers take turns. */
function onPartitions(name: string, run: (setting: Setting) => Promise<void>): void {
  onEachEngine(name, async (engine) => {
    const database = await engine.open();
    await migrate(database, { migrations: readMigrations().slice(0, 1) });
    await database.transaction(async (tx) => {
      await tx.run('CREATE TABLE head (id BIGINT PRIMARY KEY)');
      await tx.run('INSERT INTO head (id) VALUES (1)');
    });
    const clock = manualClock(START);
    await run({ ...engine, database, clock, writer: new PartitionWriter(database.engine, [FAMILY], clock) });
  });
}

async function put(tx: Transaction, writer: PartitionWriter, id: number, at: number, life = MINUTE): Promise<string> {
  const table = await writer.table(tx, { family: 'thing', at, expires: at + life });
  await tx.run(`INSERT INTO ${table} (id, name, made_at) VALUES (?, ?, ?)`, [id, `n${id}`, at]);
  return table;
}

/** Rows `from` … `to` - 1, one a millisecond, in groups of seven, as a sequencer writes them. */
async function fill({ database, clock, writer }: Setting, from: number, to: number): Promise<void> {
  for (let id = from; id < to; ) {
    await database.transaction(async (tx) => {
      await tx.get('SELECT id FROM head WHERE id = 1 FOR UPDATE');
      for (const end = Math.min(id + 7, to); id < end; id++) {
        clock.advance(1);
        await put(tx, writer, id, clock.now());
      }
    });
  }
}

onPartitions('every row is found by its time, wherever it went', async (setting) => {
  const map = new PartitionMap(setting.database, 'thing');
  assert.equal(await map.get(START, ROW, [0]), undefined, 'before there is any partition');
  await fill(setting, 0, 100);
  for (let id = 0; id < 100; id++) assert.equal((await map.get(START + 1 + id, ROW, [id]))?.['name'], `n${id}`);
  assert.equal(await map.get(START + 1, ROW, [99]), undefined);
  const partitions = await map.overlapping(0, Number.MAX_SAFE_INTEGER);
  assert.equal(partitions.length, 5);
  assert.equal(partitions[0]?.startsAt, 0);
  for (const partition of partitions) {
    const rows = await map.in(partition, 'SELECT COUNT(*) AS n, MIN(made_at) AS first FROM {partition}', []);
    assert.ok(Number(rows[0]?.['n']) <= 20 + 2, `${partition.table} holds ${rows[0]?.['n']} rows`);
    assert.ok(Number(rows[0]?.['first']) >= partition.startsAt);
  }
});

onPartitions('a reader that knows an old map finds new rows', async (setting) => {
  await fill(setting, 0, 10);
  const map = new PartitionMap(await setting.open({ readOnly: true }), 'thing');
  assert.equal((await map.get(START + 1, ROW, [0]))?.['name'], 'n0');
  await fill(setting, 10, 95);
  assert.equal((await map.get(START + 95, ROW, [94]))?.['name'], 'n94');
  assert.equal((await map.overlapping(START + 90, START + 200)).at(-1)?.number, 5);
});

onPartitions('late rows go where their time belongs', async (setting) => {
  const { database, writer } = setting;
  await fill(setting, 0, 50);
  const map = new PartitionMap(database, 'thing');
  const before = (await map.overlapping(START + 5, START + 5))[0]!;
  assert.deepEqual(await map.overlapping(START, START, START + 60 * MINUTE), []);
  const table = await database.transaction((tx) => put(tx, writer, 1000, START + 5, 90 * MINUTE));
  assert.equal(table, 'thing_p1');
  assert.equal((await map.get(START + 5, ROW, [1000]))?.['name'], 'n1000');
  const after = (await map.overlapping(START, START, START + 60 * MINUTE))[0]!;
  assert.equal(after.number, before.number);
  assert.ok(after.keepUntil >= START + 90 * MINUTE && after.keepUntil > before.keepUntil);
});

onPartitions('a transaction that rolls back takes its partition with it', async (setting) => {
  const { database, clock, writer } = setting;
  await fill(setting, 0, 19);
  const table = (): Promise<string> =>
    database.transaction(async (tx) => {
      const tables = [];
      for (let id = 19; id < 30; id++) {
        clock.advance(1);
        tables.push(await put(tx, writer, id, clock.now()));
      }
      if (failing) throw new Error('planned');
      return tables.at(-1)!;
    });
  let failing = true;
  for (let i = 0; i < 3; i++) await assert.rejects(table(), /planned/);
  assert.equal((await database.get('SELECT COUNT(*) AS n FROM partition'))?.['n'], 1);
  failing = false;
  assert.equal(await table(), 'thing_p2');
});

onPartitions('the first transaction may roll back, too', async ({ database, writer }) => {
  const failed = database.transaction(async (tx) => {
    await put(tx, writer, 1, START);
    throw new Error('planned');
  });
  await assert.rejects(failed, /planned/);
  assert.equal(await database.transaction((tx) => put(tx, writer, 1, START)), 'thing_p1');
});

onPartitions('two writers under one lock never disagree', async (setting) => {
  const other = await setting.open();
  // Its clock is behind, as another machine's may be.
  const clock = manualClock(START - 500);
  const second: Setting = {
    ...setting,
    database: other,
    clock,
    writer: new PartitionWriter(other.engine, [FAMILY], clock),
  };
  for (let round = 0; round < 6; round++) {
    await Promise.all([
      fill(setting, round * 20, round * 20 + 20),
      fill(second, 1000 + round * 20, 1000 + round * 20 + 20),
    ]);
  }
  const map = new PartitionMap(await setting.open({ readOnly: true }), 'thing');
  for (let id = 0; id < 120; id++) {
    assert.equal((await map.get(START + 1 + id, ROW, [id]))?.['name'], `n${id}`);
    assert.equal((await map.get(START - 499 + id, ROW, [1000 + id]))?.['name'], `n${1000 + id}`);
  }
  const starts = (await map.overlapping(0, Number.MAX_SAFE_INTEGER)).map((partition) => partition.startsAt);
  assert.ok(starts.length >= 3);
  assert.deepEqual(
    starts,
    starts.toSorted((a, b) => a - b),
  );
});

onPartitions('a writer that starts again goes on in the same partition', async (setting) => {
  await fill(setting, 0, 15);
  const { database, clock } = setting;
  const again = { ...setting, writer: new PartitionWriter(database.engine, [FAMILY], clock) };
  await fill(again, 15, 19);
  assert.equal((await database.get('SELECT COUNT(*) AS n FROM partition'))?.['n'], 1);
  await fill(again, 19, 30);
  assert.equal((await database.get('SELECT COUNT(*) AS n FROM partition'))?.['n'], 2);
});

onPartitions('a closed partition gets the indexes of history', async (setting) => {
  await fill(setting, 0, 45);
  const { database } = setting;
  const sql = {
    sqlite: "SELECT name FROM sqlite_schema WHERE type = 'index' AND name LIKE 'thing%made' ORDER BY name",
    postgres: "SELECT indexname AS name FROM pg_indexes WHERE indexname LIKE 'thing%made' ORDER BY indexname",
  }[database.engine];
  assert.deepEqual(
    (await database.all(sql)).map((row) => row['name']),
    ['thing_p1_made', 'thing_p2_made'],
  );
});

onPartitions('what is past retention is dropped, one partition at a time, and nothing else', async (setting) => {
  const { database, writer, clock } = setting;
  await fill(setting, 0, 65);
  const readers = [
    new PartitionMap(database, 'thing'),
    new PartitionMap(await setting.open({ readOnly: true }), 'thing'),
  ];
  for (const map of readers) assert.equal((await map.get(START + 1, ROW, [0]))?.['name'], 'n0');
  const stale = (await readers[1]!.overlapping(START, START))[0]!;

  assert.equal(await dropOldestPartition(database, 'thing', START), undefined, 'nothing has expired');
  // One row of the second lives longer, and keeps its partition.
  await database.transaction((tx) => put(tx, writer, 1000, START + 30, 90 * MINUTE));
  const before = START + 60 * MINUTE;
  assert.equal((await dropOldestPartition(database, 'thing', before))?.number, 1);
  assert.equal((await dropOldestPartition(database, 'thing', before))?.number, 3);
  assert.equal(await dropOldestPartition(database, 'thing', before), undefined, 'the newest stays');

  for (const map of readers) {
    assert.equal(await map.get(START + 1, ROW, [0]), undefined);
    assert.equal((await map.get(START + 30, ROW, [1000]))?.['name'], 'n1000');
    assert.deepEqual(
      (await map.overlapping(0, clock.now())).map((partition) => partition.number),
      [2, 4],
    );
    assert.ok((await map.completeSince()) > START && (await map.completeSince()) < before);
  }
  assert.deepEqual(await readers[1]!.in(stale, 'SELECT id FROM {partition}', []), []);
  await assert.rejects(
    database.transaction((tx) => put(tx, writer, 2000, START + 1)),
    (error) => isWritError(error, 'expired'),
  );
  await fill(setting, 65, 90);
  assert.equal((await readers[0]!.get(START + 90, ROW, [89]))?.['name'], 'n89');
});

onPartitions('a failed statement in a partition that is there stays an error', async (setting) => {
  await fill(setting, 0, 5);
  const map = new PartitionMap(setting.database, 'thing');
  await assert.rejects(map.get(START, 'SELECT nothing FROM {partition}', []), (error) =>
    isWritError(error, 'internal'),
  );
});
