import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { WritError } from '../base/error.ts';
import type { Random } from '../base/random.ts';
import type { Batch, Check } from '../db/batch.ts';
import type { Reader } from '../db/database.ts';
import { localSigner } from './local.ts';
import type { Passphrase } from './passphrase.ts';
import {
  type Derivation,
  deriveKey,
  type KeyEncryptionKey,
  newDerivation,
  readDerivation,
  type SealedName,
  sameDerivation,
  seal,
  unseal,
} from './sealed.ts';

/**
 * All sealed keys of an installation, in the database, under one key-encryption key.
 *
 * The row of table `keyring` holds the generation, which grows with each change of passphrase, and a sealed empty
 * secret by which a wrong passphrase is told from a damaged key. Every batch that adds or deletes a key checks the
 * generation, so a process that opened the keyring before a change of passphrase can add nothing after it.
 *
 * A keyring is plain data and passes to another thread by structured clone.
 */
export interface Keyring {
  readonly generation: number;
  readonly kek: KeyEncryptionKey;
}

export interface KeyringOptions {
  readonly now: number;
  readonly random: Random;
  /** What a guess at the passphrase costs. Default `newDerivation`; only throw-away installations take less. */
  readonly derivation?: Derivation;
}

export interface ChangeOptions extends KeyringOptions {
  /** The new one. */
  readonly passphrase: Passphrase;
  /** Id of the caller, for the ledger. Default: `system:administrator`. */
  readonly caller?: string;
}

const PROOF: SealedName = { id: 'keyring', purpose: 'proof' };

const NO_KEYRING: Check = {
  sql: 'SELECT 1 AS found FROM keyring WHERE id = 1',
  params: [],
  want: 'absent',
  refusal: 'conflict',
  reason: 'This database has a keyring already.',
};

/** Pushes a new keyring into the first batch of an installation. Its keys can be sealed at once. */
export async function createKeyring(
  batch: Batch,
  passphrase: Passphrase,
  { now, random, derivation = newDerivation(random) }: KeyringOptions,
): Promise<Keyring> {
  const kek = await deriveKey(passphrase, derivation);
  batch.checks.push(NO_KEYRING);
  batch.writes.push({
    sql: 'INSERT INTO keyring (id, generation, proof, changed_at) VALUES (1, 1, ?, ?)',
    params: [seal(kek, PROOF, new Uint8Array(0), random), now],
  });
  return { generation: 1, kek };
}

/**
 * Opens the keyring: derives the key-encryption key once, 100 to 300 ms. Throws `wrong_passphrase`, or `not_found` in a
 * database that has none.
 */
export async function openKeyring(reader: Reader, passphrase: Passphrase): Promise<Keyring> {
  const row = await reader.get('SELECT generation, proof FROM keyring WHERE id = 1');
  if (row === undefined) {
    throw new WritError('not_found', 'This database holds no keys.', { remedy: 'Run writ init first.' });
  }
  const proof = row['proof'] as Uint8Array;
  const kek = await deriveKey(passphrase, readDerivation(proof));
  if (unseal(kek, PROOF, proof) === undefined) {
    throw new WritError('wrong_passphrase', 'The passphrase does not open the keys of this database.', {
      remedy: 'Give the passphrase that was set last; no key was touched.',
    });
  }
  return { generation: row['generation'] as number, kek };
}

/** Pushes a sealed private key. The id is new, and the name is what opens it. */
export function addKey(
  batch: Batch,
  keyring: Keyring,
  { id, purpose, key, now, random }: SealedName & { key: KeyObject; now: number; random: Random },
): void {
  checkGeneration(batch, keyring);
  const signer = localSigner(key);
  batch.writes.push({
    sql: 'INSERT INTO sealed_key (id, purpose, algorithm, spki, sealed, created_at) VALUES (?, ?, ?, ?, ?, ?)',
    params: [id, purpose, signer.algorithm, signer.spki, sealKey(keyring.kek, { id, purpose }, key, random), now],
  });
}

/** Pushes the end of a key. Backups of the database may still hold it, sealed. */
export function deleteKey(batch: Batch, keyring: Keyring, id: string): void {
  checkGeneration(batch, keyring);
  batch.writes.push({ sql: 'DELETE FROM sealed_key WHERE id = ?', params: [id] });
}

/**
 * Opens one key. Throws `not_found` when there is none of that name, `signer_failed` when it was altered or lies under
 * a name that is not its own, `conflict` when the passphrase was changed since the keyring was opened.
 */
export async function openKey(reader: Reader, keyring: Keyring, name: SealedName): Promise<KeyObject> {
  const row = await reader.get('SELECT spki, sealed FROM sealed_key WHERE id = ? AND purpose = ?', [
    name.id,
    name.purpose,
  ]);
  if (row === undefined) throw new WritError('not_found', `There is no key ${name.id} for ${name.purpose}.`);
  return openRow(keyring.kek, name, row['sealed'] as Uint8Array, row['spki'] as Uint8Array);
}

/**
 * Pushes the change to another passphrase: every key sealed anew, in one batch, which is refused when another process
 * added, deleted or re-sealed a key meanwhile. Gives the keyring that holds once the batch is committed.
 *
 * Whoever has an old copy of the database and the old passphrase still has the keys of that day: after a leak, rotate
 * the authorities, too.
 */
export async function changePassphrase(
  batch: Batch,
  reader: Reader,
  keyring: Keyring,
  { passphrase, now, random, derivation = newDerivation(random), caller = 'system:administrator' }: ChangeOptions,
): Promise<Keyring> {
  const kek = await deriveKey(passphrase, derivation);
  const rows = await reader.all('SELECT id, purpose, spki, sealed FROM sealed_key ORDER BY id');
  checkGeneration(batch, keyring);
  batch.checks.push({
    sql: 'SELECT 1 AS found FROM (SELECT COUNT(*) AS keys FROM sealed_key) counted WHERE keys = ?',
    params: [rows.length],
    want: 'present',
    refusal: 'conflict',
    reason: 'Another process added or deleted a key meanwhile.',
  });
  for (const row of rows) {
    const name = { id: row['id'] as string, purpose: row['purpose'] as string };
    const before = row['sealed'] as Uint8Array;
    const key = openRow(keyring.kek, name, before, row['spki'] as Uint8Array);
    batch.checks.push({
      sql: 'SELECT 1 AS found FROM sealed_key WHERE id = ? AND sealed = ?',
      params: [name.id, before],
      want: 'present',
      refusal: 'conflict',
      reason: 'Another process changed a key meanwhile.',
    });
    batch.writes.push({
      sql: 'UPDATE sealed_key SET sealed = ? WHERE id = ?',
      params: [sealKey(kek, name, key, random), name.id],
    });
  }
  batch.writes.push({
    sql: 'UPDATE keyring SET generation = ?, proof = ?, changed_at = ? WHERE id = 1',
    params: [keyring.generation + 1, seal(kek, PROOF, new Uint8Array(0), random), now],
  });
  batch.events.push({
    type: 'passphrase.changed',
    subjects: ['installation:writ'],
    body: { caller, generation: keyring.generation + 1, keys: rows.length },
  });
  // Running servers look for the new passphrase.
  batch.bumpsEpoch = true;
  return { generation: keyring.generation + 1, kek };
}

/** Seals a private key as PKCS#8. */
export function sealKey(kek: KeyEncryptionKey, name: SealedName, key: KeyObject, random: Random): Uint8Array {
  const pkcs8 = key.export({ type: 'pkcs8', format: 'der' });
  try {
    return seal(kek, name, pkcs8, random);
  } finally {
    pkcs8.fill(0);
  }
}

/** The private key in what `sealKey` made, or undefined where it does not open. */
export function unsealKey(kek: KeyEncryptionKey, name: SealedName, sealed: Uint8Array): KeyObject | undefined {
  const pkcs8 = unseal(kek, name, sealed);
  if (pkcs8 === undefined) return undefined;
  try {
    return createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' });
  } finally {
    pkcs8.fill(0);
  }
}

function openRow(kek: KeyEncryptionKey, name: SealedName, sealed: Uint8Array, spki: Uint8Array): KeyObject {
  if (!sameDerivation(kek.derivation, readDerivation(sealed))) {
    throw new WritError('conflict', 'The passphrase was changed since this process opened the keys.', {
      remedy: 'Start it again with the present passphrase.',
    });
  }
  const key = unsealKey(kek, name, sealed);
  if (key === undefined || !createPublicKey(key).export({ type: 'spki', format: 'der' }).equals(spki)) {
    throw new WritError('signer_failed', `The sealed key ${name.id} was altered or exchanged.`, {
      remedy: 'Restore it from a backup; the other keys still open.',
    });
  }
  return key;
}

function checkGeneration(batch: Batch, keyring: Keyring): void {
  // The batch that makes the keyring looks that there is none; its own row is not there yet when checks run.
  if (batch.checks.includes(NO_KEYRING)) return;
  batch.checks.push({
    sql: 'SELECT 1 AS found FROM keyring WHERE id = 1 AND generation = ?',
    params: [keyring.generation],
    want: 'present',
    refusal: 'conflict',
    reason: 'The passphrase was changed since this process opened the keys; start it again with the present one.',
  });
}
