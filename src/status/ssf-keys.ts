import type { KeyObject } from 'node:crypto';
import { WritError } from '../base/error.ts';
import type { Random } from '../base/random.ts';
import { addJwtKey, publishedJwks } from '../ca/jwt-key.ts';
import { type CommitBatch, newBatch } from '../db/batch.ts';
import type { Reader } from '../db/database.ts';
import { generateKey } from '../keys/generate.ts';
import { addKey, type Keyring, openKey } from '../keys/keyring.ts';
import { type SecretBox, secretBox } from '../keys/secret-box.ts';

/** The key under which secrets of receivers lie. Stored; never changes. */
const BOX = { id: 'signal-secrets', purpose: 'secret-box' };

/**
 * Makes what Shared Signals need where it is missing: the key that signs tokens, and the one that receivers' secrets lie
 * under. Of several processes one does it.
 */
export async function ensureSignalKeys(means: {
  readonly reader: Reader;
  readonly commit: CommitBatch;
  readonly keyring: Keyring;
  readonly random: Random;
  readonly now: number;
}): Promise<void> {
  const { reader, commit, keyring, random, now } = means;
  if ((await publishedJwks(reader)).length > 0) return;
  const batch = newBatch();
  batch.checks.push({
    sql: 'SELECT 1 AS found FROM sealed_key WHERE id = ?',
    params: [BOX.id],
    want: 'absent',
    refusal: 'conflict',
    reason: 'Another process made the keys of Shared Signals.',
  });
  const jwk = await addJwtKey(batch, keyring, { now, random });
  addKey(batch, keyring, { ...BOX, key: await generateKey('ed25519'), now, random });
  batch.events.push({
    type: 'signal.key_created',
    subjects: ['installation:writ'],
    body: { caller: 'system:start', kid: jwk['kid']!, algorithm: jwk['alg']! },
  });
  const outcome = await commit(batch);
  if (outcome.committed) return;
  // Made by another process meanwhile; or the passphrase was changed, and then the next start makes it.
  if (outcome.refusal !== 'conflict') throw new WritError(outcome.refusal, outcome.reason);
}

/** The box for what receivers want to see in requests. Throws as `openKey`. */
export async function openSecretBox(reader: Reader, keyring: Keyring, random: Random): Promise<SecretBox> {
  const key: KeyObject = await openKey(reader, keyring, BOX);
  return secretBox(key, random);
}
