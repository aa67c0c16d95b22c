import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { isWritError } from '../base/error.ts';
import type { Database } from './database.ts';
import { openSqlite } from './sqlite.ts';

const TABLE = 'CREATE TABLE item (id INTEGER PRIMARY KEY, size BIGINT, octets BLOB)';
const COMMITTER = join(import.meta.dirname, 'testdata/commit-until-killed.ts');

function folderFor(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'writ-sqlite-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

function opened(t: TestContext, path: string, busyTimeout?: number): Database {
  const database = openSqlite({ path, ...(busyTimeout === undefined ? {} : { busyTimeout }) });
  t.after(() => database.close());
  return database;
}

const put = (database: Database, id: number, bytes = 0): Promise<number> =>
  database.transaction((tx) => tx.run('INSERT INTO item (id, octets) VALUES (?, ?)', [id, new Uint8Array(bytes)]));

async function ids(database: Database): Promise<unknown[]> {
  return (await database.all('SELECT id FROM item ORDER BY id')).map((row) => row['id']);
}

test('files and new directories belong to their owner alone', async (t) => {
  const folder = folderFor(t);
  const path = join(folder, 'one/two/writ.db');
  const database = opened(t, path);
  await database.transaction((tx) => tx.run(TABLE));
  assert.equal(statSync(join(folder, 'one')).mode & 0o777, 0o700);
  assert.equal(statSync(join(folder, 'one/two')).mode & 0o777, 0o700);
  for (const suffix of ['', '-wal', '-shm']) assert.equal(statSync(path + suffix).mode & 0o777, 0o600, suffix);
});

test('a database file that others can open is refused for writing', async (t) => {
  const path = join(folderFor(t), 'writ.db');
  await openSqlite({ path }).close();
  for (const mode of [0o640, 0o604, 0o620]) {
    chmodSync(path, mode);
    assert.throws(
      () => openSqlite({ path }),
      (error) => isWritError(error, 'unsafe_permissions'),
    );
  }
  chmodSync(path, 0o600);
  await openSqlite({ path }).close();
});

test('commits wait for the disk', async (t) => {
  const database = opened(t, join(folderFor(t), 'writ.db'));
  const settings = await database.transaction(async (tx) => {
    const value = async (name: string): Promise<unknown> => Object.values((await tx.get(`PRAGMA ${name}`))!)[0];
    return [
      await value('journal_mode'),
      await value('synchronous'),
      await value('foreign_keys'),
      await value('page_size'),
    ];
  });
  assert.deepEqual(settings, ['wal', 2, 1, 8192]);
});

test('every acknowledged commit is on disk before it is acknowledged', async (t) => {
  if (!existsSync('/usr/bin/strace')) return t.skip('strace is not installed');
  const folder = folderFor(t);
  const path = join(folder, 'writ.db');
  await opened(t, path).transaction((tx) => tx.run(TABLE));
  const trace = join(folder, 'trace');
  const place = JSON.stringify({ engine: 'sqlite', path });
  const calls = 'trace=pwrite64,write,fdatasync,fsync';
  execFileSync('strace', ['-f', '-y', '-e', calls, '-o', trace, process.execPath, COMMITTER, place, '1', '5'], {
    stdio: 'ignore',
  });
  let unsynced = false;
  let acknowledged = 0;
  for (const line of readFileSync(trace, 'utf8').split('\n')) {
    if (/pwrite64\(\d+<[^>]*-wal>/.test(line)) unsynced = true;
    else if (/f(data)?sync\(\d+<[^>]*-wal>\) += 0/.test(line)) unsynced = false;
    else if (/ write\(1</.test(line)) {
      assert.equal(unsynced, false, 'an answer came before fdatasync of the log');
      acknowledged++;
    }
  }
  assert.equal(acknowledged, 5);
});

test('a commit whose flush fails is of unknown outcome', async (t) => {
  if (!existsSync('/usr/bin/strace')) return t.skip('strace is not installed');
  const path = join(folderFor(t), 'writ.db');
  const database = opened(t, path);
  await database.transaction((tx) => tx.run(TABLE));
  const place = JSON.stringify({ engine: 'sqlite', path });
  const broken = ['-f', '-o', '/dev/null', '-e', 'inject=fsync,fdatasync:error=EIO:when=5+'];
  const { stdout, stderr } = spawnSync('strace', [...broken, process.execPath, COMMITTER, place, '1', '20'], {
    encoding: 'utf8',
  });
  assert.match(stderr, /code: 'storage_failed',\n +field: 'commit'/);
  const acknowledged = stdout.trim().split('\n').map(Number);
  assert.ok(acknowledged.length >= 1 && acknowledged.length < 5, 'nothing is acknowledged after the failure');
  await put(database, 100);
  assert.deepEqual(
    (await ids(database)).filter((id) => acknowledged.includes(Number(id))),
    acknowledged,
  );
});

test('a full disk is said, loses nothing, and passes', async (t) => {
  const path = join(folderFor(t), 'writ.db');
  const database = opened(t, path);
  await database.transaction((tx) => tx.run(TABLE));
  await put(database, 1);
  await database.transaction((tx) => tx.get('PRAGMA max_page_count = 5'));
  await assert.rejects(
    put(database, 2, 100_000),
    (error) => isWritError(error, 'storage_failed') && error.message.includes('full') && error.field === undefined,
  );
  await put(database, 3);
  await database.transaction((tx) => tx.get('PRAGMA max_page_count = 1000'));
  await put(database, 4, 100_000);
  assert.deepEqual(await ids(database), [1, 3, 4]);
});

test('a file system without space, then one that is read-only', async (t) => {
  const mounted = mkdtempSync(join(tmpdir(), 'writ-small-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=512k', 'tmpfs', mounted], { stdio: 'ignore' });
  } catch {
    rmSync(mounted, { recursive: true });
    return t.skip('may not mount a tmpfs');
  }
  t.after(() => {
    execFileSync('umount', ['--lazy', mounted]);
    rmSync(mounted, { recursive: true });
  });
  const path = join(mounted, 'writ.db');
  const database = openSqlite({ path });
  await database.transaction((tx) => tx.run(TABLE));
  let kept = 0;
  const failed: unknown[] = [];
  for (let id = 1; id <= 30; id++) {
    await put(database, id, 30_000).then(
      () => kept++,
      (error) => failed.push(error),
    );
  }
  assert.ok(kept > 0 && failed.length > 0);
  for (const error of failed) {
    assert.ok(isWritError(error, 'storage_failed') && error.message.includes('full'), String(error));
  }
  assert.equal((await ids(database)).length, kept);
  execFileSync('mount', ['-o', 'remount,size=8m', mounted]);
  await put(database, 100, 30_000);
  await database.close();

  execFileSync('mount', ['-o', 'remount,ro', mounted]);
  assert.throws(
    () => openSqlite({ path }),
    (error) => isWritError(error, 'storage_failed') && error.message.includes('read-only'),
  );
  execFileSync('mount', ['-o', 'remount,rw', mounted]);
  const again = openSqlite({ path });
  assert.equal((await ids(again)).length, kept + 1);
  await again.close();
});

test('a database that may not be written says so', async (t) => {
  const database = opened(t, join(folderFor(t), 'writ.db'));
  await database.transaction((tx) => tx.run(TABLE));
  await database.transaction((tx) => tx.run('PRAGMA query_only = ON'));
  await assert.rejects(
    put(database, 1),
    (error) => isWritError(error, 'storage_failed') && error.message.includes('read-only'),
  );
});

test('what is no database is refused', async (t) => {
  const folder = folderFor(t);
  const path = join(folder, 'writ.db');
  assert.throws(
    () => openSqlite({ path, readOnly: true }),
    (error) => isWritError(error, 'bad_config'),
  );
  writeFileSync(path, 'this is a text file, and it is long enough to have a header of its own', { mode: 0o600 });
  for (const readOnly of [true, false]) {
    assert.throws(
      () => openSqlite({ path, readOnly }),
      (error) => isWritError(error, 'bad_config'),
    );
  }
  assert.throws(
    () => openSqlite({ path: join(path, 'below-a-file', 'writ.db') }),
    (error) => isWritError(error, 'storage_failed'),
  );
});

test('a transaction waits for one on another connection, but not for ever', async (t) => {
  const path = join(folderFor(t), 'writ.db');
  const [holder, waiter] = [opened(t, path), opened(t, path, 60)];
  await holder.transaction((tx) => tx.run(TABLE));
  const hold = (ms: number): Promise<void> =>
    holder.transaction(async (tx) => {
      await tx.get('SELECT id FROM item');
      await new Promise((resolve) => setTimeout(resolve, ms));
    });
  await Promise.all([hold(20), put(waiter, 1)]);
  const long = hold(150);
  await assert.rejects(put(waiter, 2), (error) => isWritError(error, 'storage_failed'));
  await long;
  assert.deepEqual(await ids(waiter), [1]);
});

test('two processes write at once, and kill -9 loses nothing that was acknowledged', async (t) => {
  const path = join(folderFor(t), 'writ.db');
  // How long it waits for the other process is not what is tested, and a busy machine may take long.
  const database = opened(t, path, 60_000);
  await database.transaction((tx) => tx.run(TABLE));
  const place = JSON.stringify({ engine: 'sqlite', path });
  const acknowledged: number[] = [];
  for (let round = 1; round <= 4; round++) {
    const child = spawn(process.execPath, [COMMITTER, place, String(round * 1_000_000)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString();
    });
    const closed = once(child, 'close');
    const acknowledges = async (): Promise<void> => {
      await Promise.race([once(child.stdout, 'data'), closed]);
      assert.equal(child.exitCode ?? child.signalCode, null, 'the other process ended by itself');
    };
    await acknowledges();
    const before = output.length;
    for (let id = 1; id <= 20; id++) await put(database, round * 1000 + id);
    if (output.length === before) await acknowledges();
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 30));
    child.kill('SIGKILL');
    await closed;
    const lines = output.split('\n');
    // What comes after the last line end was cut by the kill.
    acknowledged.push(...lines.slice(0, -1).map(Number));
  }
  assert.ok(acknowledged.length >= 8, 'each round acknowledged something before and after the rows of this process');
  const stored = new Set(await ids(database));
  for (const id of acknowledged) assert.ok(stored.has(id), `row ${id} was acknowledged and is gone`);
  assert.equal([...stored].filter((id) => Number(id) < 1_000_000).length, 80);
  assert.ok(stored.size - 80 - acknowledged.length <= 4, 'at most one commit a kill was not acknowledged');
  assert.equal((await database.get('PRAGMA integrity_check'))?.['integrity_check'], 'ok');
});
