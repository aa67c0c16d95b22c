import assert from 'node:assert/strict';
import { createPublicKey } from 'node:crypto';
import { chmod, mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { isWritError } from '../base/error.ts';
import { systemRandom } from '../base/random.ts';
import { type Batch, newBatch } from '../db/batch.ts';
import type { Database, SqlValue } from '../db/database.ts';
import { migrate } from '../db/migrate.ts';
import { openSqlite } from '../db/sqlite.ts';
import { generateKey, KEY_ALGORITHMS } from './generate.ts';
import { readKeyFile, writeKeyFile } from './key-file.ts';
import { addKey, changePassphrase, createKeyring, deleteKey, isCurrent, openKey, openKeyring } from './keyring.ts';
import { Passphrase } from './passphrase.ts';

const random = systemRandom();
const now = 1_800_000_000_000;
/** As little as the bounds allow, with a salt of its own. */
const cheap = () => ({ memory: 8192, passes: 1, lanes: 1, salt: random(16) });
const folder = await mkdtemp(join(tmpdir(), 'writ-keyring-'));
after(() => rm(folder, { recursive: true }));
const first = new Passphrase(Buffer.from('the first passphrase'));
const second = new Passphrase(Buffer.from('the second passphrase'));
const code = (code: Parameters<typeof isWritError>[1]) => (error: unknown) => isWritError(error, code);

let databases = 0;
async function installation(): Promise<Database> {
  const database = openSqlite({ path: join(folder, `${databases++}.db`) });
  after(() => database.close());
  await migrate(database);
  const batch = newBatch();
  const keyring = await createKeyring(batch, first, { now, random, derivation: cheap() });
  for (const algorithm of KEY_ALGORITHMS) {
    addKey(batch, keyring, { id: algorithm, purpose: 'authority', key: await generateKey(algorithm), now, random });
  }
  assert.ok(await commit(database, batch));
  return database;
}

/** Commits as the sequencer of the ledger does: checks first, then writes, all or nothing. */
async function commit(database: Database, batch: Batch): Promise<boolean> {
  return await database.transaction(async (tx) => {
    for (const check of batch.checks) {
      const found = (await tx.get(check.sql, check.params)) !== undefined;
      if (found !== (check.want === 'present')) return false;
    }
    for (const write of batch.writes) await tx.run(write.sql, write.params as SqlValue[]);
    return true;
  });
}

test('every kind of key comes back from the database as it went in', async () => {
  const database = await installation();
  const keyring = await openKeyring(database, first);
  for (const algorithm of KEY_ALGORITHMS) {
    const key = await openKey(database, keyring, { id: algorithm, purpose: 'authority' });
    const row = await database.get('SELECT spki FROM sealed_key WHERE id = ?', [algorithm]);
    assert.ok(
      createPublicKey(key)
        .export({ type: 'spki', format: 'der' })
        .equals(row!['spki'] as Uint8Array),
    );
  }
});

test('a wrong passphrase is told from a key that was altered, exchanged or is absent', async () => {
  const database = await installation();
  await assert.rejects(openKeyring(database, second), code('wrong_passphrase'));
  const keyring = await openKeyring(database, first);
  const name = { id: 'ed25519', purpose: 'authority' };
  await assert.rejects(openKey(database, keyring, { ...name, purpose: 'ledger' }), code('not_found'));
  await assert.rejects(openKey(database, keyring, { ...name, id: 'other' }), code('not_found'));
  await database.transaction((tx) =>
    tx.run("UPDATE sealed_key SET sealed = (SELECT sealed FROM sealed_key WHERE id = 'ml-dsa-44') WHERE id = ?", [
      'ed25519',
    ]),
  );
  await assert.rejects(openKey(database, keyring, name), code('signer_failed'));
  await database.transaction((tx) =>
    tx.run("UPDATE sealed_key SET spki = (SELECT spki FROM sealed_key WHERE id = 'ml-dsa-44') WHERE id = ?", [
      'ecdsa-p256',
    ]),
  );
  await assert.rejects(openKey(database, keyring, { ...name, id: 'ecdsa-p256' }), code('signer_failed'));
  await openKey(database, keyring, { ...name, id: 'ml-dsa-65' });
});

test('a database without keys says so, and two keyrings in one are refused', async () => {
  const empty = openSqlite({ path: join(folder, 'empty.db') });
  after(() => empty.close());
  await migrate(empty);
  await assert.rejects(openKeyring(empty, first), code('not_found'));
  const database = await installation();
  const batch = newBatch();
  await createKeyring(batch, second, { now, random });
  assert.equal(await commit(database, batch), false);
});

test('another passphrase: the old one opens nothing, all keys stay the same', async () => {
  const database = await installation();
  const before = await openKeyring(database, first);
  const key = await openKey(database, before, { id: 'ed25519', purpose: 'authority' });
  const batch = newBatch();
  const changed = await changePassphrase(batch, database, before, {
    passphrase: second,
    now,
    random,
    derivation: cheap(),
  });
  assert.ok(await commit(database, batch));
  await assert.rejects(openKeyring(database, first), code('wrong_passphrase'));
  const reopened = await openKeyring(database, second);
  for (const keyring of [changed, reopened]) {
    assert.ok((await openKey(database, keyring, { id: 'ed25519', purpose: 'authority' })).equals(key));
  }
  assert.deepEqual([await isCurrent(database, before), await isCurrent(database, changed)], [false, true]);
  await assert.rejects(openKey(database, before, { id: 'ed25519', purpose: 'authority' }), code('conflict'));
});

test('what another process does meanwhile makes a change of passphrase start over, and the reverse', async () => {
  const table: [string, (batch: Batch, keyring: Awaited<ReturnType<typeof openKeyring>>) => Promise<void>][] = [
    [
      'adds a key',
      async (batch, keyring) =>
        addKey(batch, keyring, { id: 'new', purpose: 'ledger', key: await generateKey('ed25519'), now, random }),
    ],
    ['deletes a key', async (batch, keyring) => deleteKey(batch, keyring, 'ml-dsa-87')],
    [
      'changes the passphrase itself',
      async (batch, keyring) => {
        const database = databaseOf.get(keyring)!;
        await changePassphrase(batch, database, keyring, { passphrase: first, now, random, derivation: cheap() });
      },
    ],
  ];
  const databaseOf = new Map<unknown, Database>();
  for (const [what, act] of table) {
    for (const changeFirst of [false, true]) {
      const database = await installation();
      const keyring = await openKeyring(database, first);
      databaseOf.set(keyring, database);
      const [change, other] = [newBatch(), newBatch()];
      await changePassphrase(change, database, keyring, { passphrase: second, now, random, derivation: cheap() });
      await act(other, keyring);
      const order = changeFirst ? [change, other] : [other, change];
      assert.deepEqual([await commit(database, order[0]!), await commit(database, order[1]!)], [true, false], what);
    }
  }
});

test('a deleted key is gone', async () => {
  const database = await installation();
  const keyring = await openKeyring(database, first);
  const batch = newBatch();
  deleteKey(batch, keyring, 'ed25519');
  assert.ok(await commit(database, batch));
  await assert.rejects(openKey(database, keyring, { id: 'ed25519', purpose: 'authority' }), code('not_found'));
});

test('a keyring works in another thread as it is', async () => {
  const database = await installation();
  const keyring = structuredClone(await openKeyring(database, first));
  await openKey(database, keyring, { id: 'ed25519', purpose: 'authority' });
});

test('a key file: owner-only, of one key, under the passphrase of its day', async () => {
  const database = await installation();
  const keyring = await openKeyring(database, first);
  const key = await openKey(database, keyring, { id: 'ml-dsa-65', purpose: 'authority' });
  const path = join(folder, 'root.key');
  const name = { id: 'root', purpose: 'root' };
  const options = { name, note: 'Root key of example.com.', field: '--root-key-out', random };
  await writeKeyFile(path, key, keyring, options);
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  await assert.rejects(writeKeyFile(path, key, keyring, options), code('conflict'));
  const text = await readFile(path, 'utf8');
  assert.ok(text.includes('Root key of example.com.'));
  assert.ok(!text.includes(key.export({ type: 'pkcs8', format: 'der' }).toString('base64').slice(20, 60)));

  assert.ok((await readKeyFile(path, { name, keyring }, '--root-key')).equals(key));
  assert.ok((await readKeyFile(path, { name, passphrase: first }, '--root-key')).equals(key));
  await assert.rejects(readKeyFile(path, { name, passphrase: second }, '--root-key'), code('wrong_passphrase'));
  await assert.rejects(readKeyFile(path, { name }, '--root-key'), code('wrong_passphrase'));
  await assert.rejects(readKeyFile(path, { name: { ...name, id: 'x' }, keyring }, '--root-key'), code('bad_config'));
  const batch = newBatch();
  const changed = await changePassphrase(batch, database, keyring, {
    passphrase: second,
    now,
    random,
    derivation: cheap(),
  });
  assert.ok((await readKeyFile(path, { name, keyring: changed, passphrase: first }, '--root-key')).equals(key));
  await chmod(path, 0o640);
  await assert.rejects(readKeyFile(path, { name, keyring }, '--root-key'), code('unsafe_permissions'));
});
