import assert from 'node:assert/strict';
import { onEachEngine } from '../../test/engines.ts';
import { isWritError, WritError } from '../base/error.ts';
import type { Database, Row } from './database.ts';
import { definitionFor } from './sql.ts';

async function withTable(database: Database): Promise<Database> {
  const sql = 'CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT, octets BLOB, size BIGINT)';
  await database.transaction(async (tx) => {
    await tx.run(definitionFor(database.engine, sql));
    await tx.run(definitionFor(database.engine, 'CREATE UNIQUE INDEX item_name ON item (name)'));
  });
  return database;
}

const INSERT = 'INSERT INTO item (id, name, octets, size) VALUES (?, ?, ?, ?)';
const COUNT = 'SELECT COUNT(*) AS n FROM item';

async function count(reader: Pick<Database, 'get'>): Promise<unknown> {
  return (await reader.get(COUNT))?.['n'];
}

onEachEngine('values come back as they went in', async ({ open }) => {
  const database = await withTable(await open());
  const octets = Uint8Array.from([0, 1, 127, 128, 255]);
  const rows: [number, string | null, Uint8Array | null, number | null][] = [
    [1, 'plain', octets, 7],
    [2, "quote ' question ? dollar $1 snow ☃ \u{1f512}", new Uint8Array(0), Number.MAX_SAFE_INTEGER],
    [3, '', Buffer.from(octets), Number.MIN_SAFE_INTEGER],
    [4, null, null, null],
  ];
  await database.transaction(async (tx) => {
    for (const row of rows) assert.equal(await tx.run(INSERT, row), 1);
  });
  const stored = await database.all('SELECT id, name, octets, size FROM item ORDER BY id');
  assert.deepEqual(
    stored.map((row) => [row['id'], row['name'], row['octets'], row['size']]),
    rows.map(([id, name, bytes, size]) => [id, name, bytes === null ? null : Uint8Array.from(bytes), size]),
  );
  assert.equal(stored[2]?.['octets']?.constructor, Uint8Array);
});

onEachEngine('questions give numbers, whatever type the engine computes', async ({ open }) => {
  const database = await withTable(await open());
  await database.transaction(async (tx) => {
    for (let id = 1; id <= 3; id++) await tx.run(INSERT, [id, `n${id}`, null, id * 10]);
  });
  const row = await database.get(
    'SELECT COUNT(*) AS n, SUM(size) AS total, MAX(size) AS most, EXISTS (SELECT 1 FROM item) AS yes, ' +
      'CAST(? AS BIGINT) + 1 AS more FROM item',
    [41],
  );
  assert.deepEqual({ ...row }, { n: 3, total: 60, most: 30, yes: 1, more: 42 });
  assert.equal(await database.get('SELECT id FROM item WHERE id = ?', [99]), undefined);
  assert.deepEqual(await database.all('SELECT id FROM item WHERE id = ?', [99]), []);
});

onEachEngine('a snapshot sees one instant, whatever is written meanwhile', async ({ open }) => {
  const database = await withTable(await open());
  const insert = (id: number): Promise<unknown> =>
    database.transaction((tx) => tx.run(INSERT, [id, `n${id}`, null, id]));
  await insert(1);
  for (const from of [database, await open({ readOnly: true })]) {
    const before = Number(await count(database));
    const seen = await from.snapshot(async (reader) => {
      const first = await count(reader);
      await insert(before + 1);
      return [first, await count(reader), await count(database)];
    });
    assert.deepEqual(seen, [before, before, before + 1]);
    await assert.rejects(
      from.snapshot(async (reader) => reader.all('SELECT * FROM nowhere')),
      (error) => isWritError(error),
    );
    assert.equal(await from.snapshot(count), before + 1);
  }
});

onEachEngine('text sorts by code point', async ({ open }) => {
  const database = await withTable(await open());
  const names = ['a', 'B', 'ä', 'Z', 'b', '_', '-', '\u{1f512}', '\uffee', 'a-b', 'ab', 'a_b'];
  await database.transaction(async (tx) => {
    await Promise.all(names.map((name, id) => tx.run(INSERT, [id, name, null, null])));
  });
  const sorted = names.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  const rows = await database.all('SELECT name FROM item ORDER BY name');
  assert.deepEqual(
    rows.map((row) => row['name']),
    sorted,
  );
  const after = await database.all('SELECT name FROM item WHERE name > ? ORDER BY name', ['a_b']);
  assert.deepEqual(
    after.map((row) => row['name']),
    sorted.slice(sorted.indexOf('a_b') + 1),
  );
});

onEachEngine('a transaction that rejects leaves nothing, and rejects with the same error', async ({ open }) => {
  const database = await withTable(await open());
  const reason = new Error('changed my mind');
  const work = database.transaction(async (tx) => {
    await tx.run(INSERT, [1, 'one', null, null]);
    throw reason;
  });
  await assert.rejects(work, (error) => error === reason);
  assert.equal(await count(database), 0);
  await database.transaction((tx) => tx.run(INSERT, [1, 'one', null, null]));
  assert.equal(await count(database), 1);
});

onEachEngine('a transaction gives what its work gives', async ({ open }) => {
  const database = await withTable(await open());
  assert.deepEqual(await database.transaction(async () => ['kept']), ['kept']);
});

onEachEngine('a repeated key is a conflict, and spoils the transaction even when it is caught', async ({ open }) => {
  const database = await withTable(await open());
  await database.transaction((tx) => tx.run(INSERT, [1, 'one', null, null]));
  for (const row of [
    [1, 'other', null, null],
    [2, 'one', null, null],
  ]) {
    const work = database.transaction(async (tx) => {
      await tx.run(INSERT, [3, 'three', null, null]);
      await tx.run(INSERT, row).catch(() => undefined);
      await tx.run(INSERT, [4, 'four', null, null]).catch(() => undefined);
    });
    await assert.rejects(work, (error) => isWritError(error, 'conflict'));
  }
  assert.equal(await count(database), 1);
  assert.equal(
    await database.transaction((tx) => tx.run(`${INSERT} ON CONFLICT DO NOTHING`, [1, 'one', null, null])),
    0,
  );
});

onEachEngine('a statement that is wrong is internal and names no value', async ({ open }) => {
  const database = await withTable(await open());
  const wrong = "INSERT INTO item (id, nowhere) VALUES (1, 'canary-value')";
  await assert.rejects(
    database.transaction((tx) => tx.run(wrong)),
    (error) => isWritError(error, 'internal') && !error.message.includes('canary'),
  );
  await assert.rejects(database.get('SELECT nothing FROM nowhere'), (error) => isWritError(error, 'internal'));
});

onEachEngine('statements that are not waited for run in order', async ({ open }) => {
  const database = await withTable(await open());
  const changes = await database.transaction(async (tx) => {
    const writes = Array.from({ length: 100 }, (_, i) => tx.run(INSERT, [i, `n${i}`, null, 0]));
    const seen = tx.get(COUNT);
    const update = tx.run('UPDATE item SET size = size + ? WHERE id >= ?', [1, 50]);
    const doubled = tx.run('UPDATE item SET size = size * 2');
    await Promise.all(writes);
    assert.equal((await seen)?.['n'], 100);
    return Promise.all([update, doubled]);
  });
  assert.deepEqual(changes, [50, 100]);
  assert.equal((await database.get('SELECT SUM(size) AS total FROM item'))?.['total'], 100);
});

onEachEngine('of statements that are not waited for, the first failure counts', async ({ open }) => {
  const database = await withTable(await open());
  const work = database.transaction(async (tx) => {
    const writes = [1, 2, 1, 3].map((id) => tx.run(INSERT, [id, `n${id}-${Math.random()}`, null, null]));
    const results = await Promise.allSettled(writes);
    assert.deepEqual(
      results.slice(0, 3).map(({ status }) => status),
      ['fulfilled', 'fulfilled', 'rejected'],
    );
  });
  await assert.rejects(work, (error) => isWritError(error, 'conflict'));
  assert.equal(await count(database), 0);
});

onEachEngine('reads outside see what is committed, and only that', async ({ open }) => {
  const [database, other] = [await withTable(await open()), await open()];
  await database.transaction(async (tx) => {
    await tx.run(INSERT, [1, 'one', null, null]);
    assert.equal(await count(tx), 1, 'a transaction sees its own writes');
    assert.equal(await count(database), 0, 'the same database outside the transaction');
    assert.equal(await count(other), 0, 'another connection');
  });
  assert.equal(await count(database), 1);
  assert.equal(await count(other), 1);
});

onEachEngine('reads cannot write', async ({ open }) => {
  const database = await withTable(await open());
  await assert.rejects(database.all(`${INSERT} RETURNING id`, [1, 'one', null, null]), (error) =>
    isWritError(error, 'storage_failed'),
  );
  assert.equal(await count(database), 0);
});

onEachEngine('opened for reading only: reads go, transactions do not', async ({ open }) => {
  await withTable(await open());
  const reader = await open({ readOnly: true });
  assert.equal(await count(reader), 0);
  await assert.rejects(
    reader.transaction(async () => undefined),
    (error) => isWritError(error, 'storage_failed'),
  );
});

onEachEngine('transactions of one database take turns in order', async ({ open }) => {
  const database = await withTable(await open());
  const steps: string[] = [];
  const work = (name: string, fails = false): Promise<unknown> =>
    database.transaction(async (tx) => {
      steps.push(`${name} begins`);
      await count(tx);
      await new Promise((resolve) => setTimeout(resolve, 5));
      steps.push(`${name} ends`);
      if (fails) throw new WritError('conflict', 'planned');
    });
  await Promise.allSettled([work('a'), work('b', true), work('c')]);
  assert.deepEqual(steps, ['a begins', 'a ends', 'b begins', 'b ends', 'c begins', 'c ends']);
});

onEachEngine('a transaction aside is a transaction, and close waits for it, too', async ({ open }) => {
  const database = await withTable(await open());
  const aside = { aside: true };
  await database.transaction((tx) => tx.run(INSERT, [1, 'one', null, null]), aside);
  const failing = database.transaction(async (tx) => {
    await tx.run(INSERT, [2, 'two', null, null]);
    throw new Error('planned');
  }, aside);
  await assert.rejects(failing, /planned/);
  const last = database.transaction(async (tx) => {
    await new Promise((resolve) => setTimeout(resolve, 20));
    await tx.run(INSERT, [3, 'three', null, null]);
  }, aside);
  await Promise.all([last, database.close()]);
  assert.equal(await count(await open()), 2);
});

onEachEngine('a locked row is read by one transaction at a time', async ({ open }) => {
  const [one, two] = [await withTable(await open()), await open()];
  await one.transaction((tx) => tx.run(INSERT, [1, 'head', null, 0]));
  const raise = async (database: Database): Promise<void> => {
    for (let i = 0; i < 20; i++) {
      await database.transaction(async (tx) => {
        const row = (await tx.get('SELECT size FROM item WHERE id = ? FOR UPDATE', [1])) as Row;
        await tx.run('UPDATE item SET size = ? WHERE id = ?', [Number(row['size']) + 1, 1]);
      });
    }
  };
  await Promise.all([raise(one), raise(two)]);
  assert.equal((await one.get('SELECT size FROM item WHERE id = 1'))?.['size'], 40);
});

onEachEngine('a transaction that has ended takes no statement', async ({ open }) => {
  const database = await withTable(await open());
  const tx = await database.transaction(async (inner) => {
    await count(inner);
    return inner;
  });
  await assert.rejects(tx.run(INSERT, [1, 'late', null, null]), (error) => isWritError(error, 'internal'));
  await assert.rejects(tx.get(COUNT), (error) => isWritError(error, 'internal'));
  assert.equal(await count(database), 0);
});

onEachEngine('statements beyond those kept prepared still work', async ({ open }) => {
  const database = await withTable(await open());
  await database.transaction(async (tx) => {
    for (let i = 0; i < 600; i++) await tx.get(`SELECT ${i} AS n FROM item WHERE id = ?`, [i]);
    await tx.run(INSERT, [1, 'one', null, null]);
    assert.equal((await tx.get('SELECT 0 AS n FROM item WHERE id = ?', [1]))?.['n'], 0);
  });
  for (let i = 0; i < 600; i++)
    assert.equal((await database.get(`SELECT ${i} AS n FROM item WHERE id = ?`, [1]))?.['n'], i);
});

onEachEngine('many reads at once are each answered', async ({ open }) => {
  const database = await withTable(await open());
  await database.transaction((tx) => tx.run(INSERT, [1, 'one', null, null]));
  const asked = Array.from({ length: 200 }, (_, i) => i);
  const answers = await Promise.all(
    asked.map((i) => database.get('SELECT CAST(? AS BIGINT) AS n FROM item WHERE id = ?', [i, 1])),
  );
  assert.deepEqual(
    answers.map((row) => row?.['n']),
    asked,
  );
});

onEachEngine('closing waits for the transaction under way and refuses the next', async ({ open }) => {
  const database = await withTable(await open());
  const work = database.transaction(async (tx) => {
    await tx.run(INSERT, [1, 'one', null, null]);
    await new Promise((resolve) => setTimeout(resolve, 20));
    await tx.run(INSERT, [2, 'two', null, null]);
  });
  await Promise.all([work, database.close()]);
  await assert.rejects(database.get(COUNT), (error) => isWritError(error, 'unavailable'));
  await assert.rejects(
    database.transaction(async () => undefined),
    (error) => isWritError(error, 'unavailable'),
  );
  assert.equal(await count(await open()), 2);
});
