import assert from 'node:assert/strict';
import { createPublicKey } from 'node:crypto';
import { chmod, mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { onBothEngines, type StoreParts } from '../../test/stores.ts';
import { isWritError } from '../base/error.ts';
import { systemRandom } from '../base/random.ts';
import { type Batch, newBatch } from '../db/batch.ts';
import { generateKey, KEY_ALGORITHMS } from './generate.ts';
import { readKeyFile, writeKeyFile } from './key-file.ts';
import { addKey, changePassphrase, createKeyring, deleteKey, type Keyring, openKey, openKeyring } from './keyring.ts';
import { Passphrase } from './passphrase.ts';

const random = systemRandom();
const now = 1_800_000_000_000;
let files = 0;
/** As little as the bounds allow, with a salt of its own. */
const cheap = () => ({ memory: 8192, passes: 1, lanes: 1, salt: random(16) });
const folder = await mkdtemp(join(tmpdir(), 'writ-keyring-'));
after(() => rm(folder, { recursive: true }));
const first = new Passphrase(Buffer.from('the first passphrase'));
const second = new Passphrase(Buffer.from('the second passphrase'));
const code = (code: Parameters<typeof isWritError>[1]) => (error: unknown) => isWritError(error, code);

/** A keyring under the first passphrase with a key of each kind. */
async function install({ commit }: StoreParts): Promise<void> {
  const batch = newBatch();
  const keyring = await createKeyring(batch, first, { now, random, derivation: cheap() });
  for (const algorithm of KEY_ALGORITHMS) {
    addKey(batch, keyring, { id: algorithm, purpose: 'authority', key: await generateKey(algorithm), now, random });
  }
  assert.ok((await commit(batch)).committed);
}

onBothEngines('every kind of key comes back from the database as it went in', async (parts) => {
  const { database } = parts;
  await install(parts);
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

onBothEngines('a wrong passphrase is told from a key that was altered, exchanged or is absent', async (parts) => {
  const { database } = parts;
  await install(parts);
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

onBothEngines('a database without keys says so, and two keyrings in one are refused', async (parts) => {
  const { database, commit } = parts;
  await assert.rejects(openKeyring(database, first), code('not_found'));
  await install(parts);
  const batch = newBatch();
  await createKeyring(batch, second, { now, random });
  assert.equal((await commit(batch)).committed, false);
});

onBothEngines('another passphrase: the old one opens nothing, all keys stay the same', async (parts) => {
  const { database, commit } = parts;
  await install(parts);
  const before = await openKeyring(database, first);
  const key = await openKey(database, before, { id: 'ed25519', purpose: 'authority' });
  const batch = newBatch();
  const changed = await changePassphrase(batch, database, before, {
    passphrase: second,
    now,
    random,
    derivation: cheap(),
  });
  assert.ok((await commit(batch)).committed);
  await assert.rejects(openKeyring(database, first), code('wrong_passphrase'));
  assert.deepEqual(parts.events.at(-1)?.type, 'passphrase.changed');
  const reopened = await openKeyring(database, second);
  for (const keyring of [changed, reopened]) {
    assert.ok((await openKey(database, keyring, { id: 'ed25519', purpose: 'authority' })).equals(key));
  }
  await assert.rejects(openKey(database, before, { id: 'ed25519', purpose: 'authority' }), code('conflict'));
});

const meanwhile: [string, (batch: Batch, keyring: Keyring, parts: StoreParts) => Promise<void>][] = [
  [
    'adds a key',
    async (batch, keyring) =>
      addKey(batch, keyring, { id: 'new', purpose: 'ledger', key: await generateKey('ed25519'), now, random }),
  ],
  ['deletes a key', async (batch, keyring) => deleteKey(batch, keyring, 'ml-dsa-87')],
  [
    'changes the passphrase itself',
    async (batch, keyring, { database }) => {
      await changePassphrase(batch, database, keyring, { passphrase: first, now, random, derivation: cheap() });
    },
  ],
];

for (const [what, act] of meanwhile) {
  for (const changeFirst of [false, true]) {
    const who = changeFirst ? 'after' : 'before';
    onBothEngines(`another process ${what} ${who} a change of passphrase: the later one is refused`, async (parts) => {
      await install(parts);
      const keyring = await openKeyring(parts.database, first);
      const [change, other] = [newBatch(), newBatch()];
      const options = { passphrase: second, now, random, derivation: cheap() };
      await changePassphrase(change, parts.database, keyring, options);
      await act(other, keyring, parts);
      const order = changeFirst ? [change, other] : [other, change];
      const done = [await parts.commit(order[0]!), await parts.commit(order[1]!)];
      assert.deepEqual(
        done.map(({ committed }) => committed),
        [true, false],
      );
    });
  }
}

onBothEngines('a deleted key is gone', async (parts) => {
  const { database, commit } = parts;
  await install(parts);
  const keyring = await openKeyring(database, first);
  const batch = newBatch();
  deleteKey(batch, keyring, 'ed25519');
  assert.ok((await commit(batch)).committed);
  await assert.rejects(openKey(database, keyring, { id: 'ed25519', purpose: 'authority' }), code('not_found'));
});

onBothEngines('a keyring works in another thread as it is', async (parts) => {
  const { database } = parts;
  await install(parts);
  const keyring = structuredClone(await openKeyring(database, first));
  await openKey(database, keyring, { id: 'ed25519', purpose: 'authority' });
});

onBothEngines('a key file: owner-only, of one key, under the passphrase of its day', async (parts) => {
  const { database } = parts;
  await install(parts);
  const keyring = await openKeyring(database, first);
  const key = await openKey(database, keyring, { id: 'ml-dsa-65', purpose: 'authority' });
  const path = join(folder, `root-${files++}.key`);
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
