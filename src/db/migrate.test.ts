import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { onEachEngine } from '../../test/engines.ts';
import { manualClock } from '../base/clock.ts';
import { isWritError, WritError } from '../base/error.ts';
import { type Migration, migrate, readMigrations } from './migrate.ts';

const FIRST: Migration = {
  number: 1,
  name: '0001-first',
  text: "-- Comment; with a semicolon\nCREATE TABLE a (id INTEGER PRIMARY KEY, name TEXT);\nINSERT INTO a VALUES (1, 'x;y');",
};
const SECOND: Migration = {
  number: 2,
  name: '0002-second',
  text: 'CREATE TABLE b (octets BLOB NOT NULL PRIMARY KEY);',
};
const THIRD: Migration = { number: 5, name: '0005-third', text: 'CREATE INDEX a_name ON a (name)' };

onEachEngine('migrations are applied in order, once, and recorded', async ({ open }) => {
  const database = await open();
  const clock = manualClock(1_800_000_000_000);
  assert.deepEqual(await migrate(database, { migrations: [FIRST], clock }), ['0001-first']);
  clock.advance(1);
  assert.deepEqual(await migrate(database, { migrations: [FIRST, SECOND, THIRD], clock }), [
    '0002-second',
    '0005-third',
  ]);
  assert.deepEqual(await migrate(database, { migrations: [FIRST, SECOND, THIRD], clock }), []);
  const rows = await database.all('SELECT number, applied_at FROM migration ORDER BY number');
  assert.deepEqual(
    rows.map((row) => [row['number'], row['applied_at']]),
    [
      [1, 1_800_000_000_000],
      [2, 1_800_000_000_001],
      [5, 1_800_000_000_001],
    ],
  );
  assert.equal((await database.get('SELECT name FROM a'))?.['name'], 'x;y');
});

onEachEngine('a statement about a partitioned table is done to every partition that there is', async ({ open }) => {
  const database = await open();
  const tables: Migration = {
    number: 1,
    name: '0001-tables',
    text: `CREATE TABLE partition (family TEXT, number BIGINT, dropped BIGINT);
      INSERT INTO partition VALUES ('fact', 1, 1), ('fact', 2, 0), ('fact', 3, 0), ('other', 4, 0);
      CREATE TABLE fact_p2 (id BIGINT); CREATE TABLE fact_p3 (id BIGINT);`,
  };
  const change: Migration = {
    number: 2,
    name: '0002-change',
    text: "ALTER TABLE {partition:fact} ADD COLUMN name TEXT; INSERT INTO {partition:fact} (name) VALUES ('a');",
  };
  await migrate(database, { migrations: [tables, change] });
  const rows = await database.all('SELECT name FROM fact_p2 UNION ALL SELECT name FROM fact_p3');
  assert.deepEqual(
    rows.map(({ name }) => name),
    ['a', 'a'],
  );
});

onEachEngine('an interrupted run goes on where it stopped', async ({ open }) => {
  const database = await open();
  const broken: Migration = { ...SECOND, text: `${SECOND.text} CREATE TABLE a (id BIGINT);` };
  await assert.rejects(migrate(database, { migrations: [FIRST, broken] }), (error) => isWritError(error, 'internal'));
  assert.equal((await database.get('SELECT COUNT(*) AS n FROM migration'))?.['n'], 1, 'the first was kept');
  await assert.rejects(database.get('SELECT octets FROM b'), WritError, 'of the second nothing was');
  assert.deepEqual(await migrate(database, { migrations: [FIRST, SECOND] }), ['0002-second']);
});

onEachEngine('a database that has seen more, or other text, is refused and left alone', async ({ open }) => {
  const database = await open();
  await migrate(database, { migrations: [FIRST, SECOND] });
  const others: [string, Migration[]][] = [
    ['an older version', [FIRST]],
    ['an edited migration', [FIRST, { ...SECOND, text: `${SECOND.text} -- edited` }, THIRD]],
    ['a migration put in between', [FIRST, { ...THIRD, number: 2 }, { ...SECOND, number: 3 }]],
    ['none at all', []],
  ];
  for (const [name, migrations] of others) {
    await assert.rejects(migrate(database, { migrations }), (error) => isWritError(error, 'newer_version'), name);
  }
  assert.deepEqual(await migrate(database, { migrations: [FIRST, { ...SECOND, text: SECOND.text }] }), []);
});

onEachEngine(
  'the migrations of this version apply, also by three processes that start together',
  async ({ open, place }) => {
    const child = (): ReturnType<typeof fork> =>
      fork(join(import.meta.dirname, 'testdata/migrate-together.ts'), [JSON.stringify(place)], { stdio: 'inherit' });
    const children = [child(), child(), child()];
    await Promise.all(children.map((process) => once(process, 'message')));
    const answers = children.map((process) => once(process, 'message'));
    const exits = children.map((process) => once(process, 'exit'));
    for (const process of children) process.send('go');
    const applied = (await Promise.all(answers)).flatMap(([names]) => names as string[]);
    assert.deepEqual(await Promise.all(exits), Array(3).fill([0, null]));
    assert.deepEqual(
      applied.toSorted(),
      readMigrations().map((migration) => migration.name),
    );
    const database = await open();
    assert.deepEqual(await migrate(database), []);
  },
);

test('migration files: order, names, numbers', () => {
  const folder = mkdtempSync(join(tmpdir(), 'writ-migrations-'));
  const url = pathToFileURL(`${folder}/`);
  try {
    writeFileSync(join(folder, '0010-b.sql'), 'B');
    writeFileSync(join(folder, '0002-a-c.sql'), 'A');
    assert.deepEqual(readMigrations(url), [
      { number: 2, name: '0002-a-c', text: 'A' },
      { number: 10, name: '0010-b', text: 'B' },
    ]);
    for (const wrong of ['0010-c.sql', '11-c.sql', '0011-C.sql', '0011-c.sql~']) {
      writeFileSync(join(folder, wrong), '');
      assert.throws(
        () => readMigrations(url),
        (error) => isWritError(error, 'internal'),
        wrong,
      );
      rmSync(join(folder, wrong));
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});
