import type { KeyObject } from 'node:crypto';
import type { Authorize, Caller } from '../../base/access.ts';
import { demand } from '../../base/demand.ts';
import { WritError } from '../../base/error.ts';
import type { Random } from '../../base/random.ts';
import {
  addTokenKey,
  deleteTokenKey,
  MOST_TOKEN_KEYS,
  readTokenKeys,
  SIGNAL_KEYS,
  spentKeys,
  type TokenAlgorithm,
  type TokenKey,
} from '../../ca/jwt/key.ts';
import { type Batch, type CommitBatch, newBatch } from '../../db/batch.ts';
import { committed } from '../../db/committed.ts';
import type { Reader } from '../../db/database.ts';
import type { Idempotency, Json } from '../../http/idempotency.ts';
import { generateKey } from '../../keys/generate.ts';
import { addKey, type Keyring, openKey } from '../../keys/keyring.ts';
import { type SecretBox, secretBox } from '../../keys/secret-box.ts';

/** The key under which secrets of receivers lie. Stored; never changes. */
const BOX = { id: 'signal-secrets', purpose: 'secret-box' };

/** A key of tokens is followed by another when it is this old: before a year is over. */
const ROTATE_AFTER_MS = 300 * 86_400_000;

export interface SignalKeyParts {
  readonly reader: Reader;
  readonly commit: CommitBatch;
  readonly keyring: Keyring;
  readonly random: Random;
  readonly clock: { now(): number };
  /** What tokens are to be signed with. */
  readonly algorithm: TokenAlgorithm;
}

/**
 * Makes what Shared Signals need where it is missing: the key that signs tokens, and the one that receivers' secrets lie
 * under. Of several processes one does it.
 */
export async function ensureSignalKeys(parts: SignalKeyParts, caller = 'system:start'): Promise<void> {
  const { reader, commit, keyring, random, clock, algorithm } = parts;
  const keys = await readTokenKeys(reader);
  if (keys.length > 0) return;
  const now = clock.now();
  const batch = newBatch();
  const key = await addTokenKey(batch, keyring, keys, { algorithm, now, random });
  if (!(await hasBox(reader))) {
    batch.checks.push({
      sql: 'SELECT 1 AS found FROM sealed_key WHERE id = ?',
      params: [BOX.id],
      want: 'absent',
      refusal: 'conflict',
      reason: 'Another process made the keys of Shared Signals.',
    });
    addKey(batch, keyring, { ...BOX, key: await generateKey('ed25519'), now, random });
  }
  recordCreated(batch, caller, key, now);
  const outcome = await commit(batch);
  if (outcome.committed) return;
  // Made by another process meanwhile; or the passphrase was changed, and then the next start makes it.
  if (outcome.refusal !== 'conflict') throw new WritError(outcome.refusal, outcome.reason);
}

/** It is made with the first stream, and stays. */
async function hasBox(reader: Reader): Promise<boolean> {
  return (await reader.get('SELECT 1 AS found FROM sealed_key WHERE id = ?', [BOX.id])) !== undefined;
}

/** The box for what receivers want to see in requests. Throws as `openKey`. */
export async function openSecretBox(reader: Reader, keyring: Keyring, random: Random): Promise<SecretBox> {
  const key: KeyObject = await openKey(reader, keyring, BOX);
  return secretBox(key, random);
}

export interface RotatedKey {
  readonly kid: string;
  readonly algorithm: TokenAlgorithm;
  /** Milliseconds: until then the one before signs. */
  readonly signsFrom: number;
}

/**
 * Has another key follow the one that signs tokens. It is published at once and signs an hour later, and the one before
 * stays published for a week after that. `atOnce`, for a key that was stolen: the new one signs at once, and those before
 * are deleted and published no more, so that nobody who fetches the set believes what they sign.
 *
 * Throws `denied`, `not_found` before there is a key, `conflict`.
 */
export async function rotateSignalKey(
  caller: Caller,
  { atOnce }: { readonly atOnce: boolean },
  parts: SignalKeyParts & { readonly authorize: Authorize },
  { idempotency }: { readonly idempotency?: Idempotency | undefined } = {},
): Promise<RotatedKey> {
  const resource = { type: 'Installation', id: 'writ' } as const;
  demand(parts.authorize, { caller, action: 'signal.manage', resource });
  // A service manages its own streams; this is about those of all.
  if (caller.kind !== 'operator') throw new WritError('denied', 'Operators alone have keys rotated.');
  const first = await idempotency?.first();
  if (first?.kind === 'value') return first.value as unknown as RotatedKey;
  const { reader, commit, keyring, random, clock, algorithm } = parts;
  const keys = await readTokenKeys(reader);
  if (keys.length === 0) {
    throw new WritError('not_found', 'There is no key that signs security event tokens.', {
      remedy: 'It is made with the first stream.',
    });
  }
  if (keys.length >= MOST_TOKEN_KEYS && !atOnce) {
    throw new WritError('conflict', `There are ${keys.length} keys that sign security event tokens already.`, {
      remedy: 'Each leaves a week after the next took over; or have those that are there replaced at once.',
    });
  }
  const now = clock.now();
  const batch = newBatch();
  const key = await addTokenKey(batch, keyring, keys, { algorithm, now, random });
  const signsFrom = atOnce ? now : key.createdAt + SIGNAL_KEYS.publishedBefore;
  recordCreated(batch, caller.id, key, signsFrom);
  if (atOnce) {
    for (const former of keys) retire(batch, keyring, caller.id, former);
    // A key that was stolen does not come back with an older backup.
    batch.anchored = true;
  }
  const rotated: RotatedKey = { kid: key.jwk['kid']!, algorithm, signsFrom };
  idempotency?.keep(batch, { kind: 'value', value: { ...rotated } satisfies Json });
  committed(await commit(batch));
  return rotated;
}

/**
 * What is due to the keys of tokens by itself: another one before the newest is a year old, or where the configuration
 * wants another algorithm; and the end of those that nobody needs any more. Gives what was done, for the log.
 */
export async function keepSignalKeys(parts: SignalKeyParts): Promise<'rotated' | 'retired' | undefined> {
  const { reader, commit, keyring, random, clock, algorithm } = parts;
  const keys = await readTokenKeys(reader);
  const newest = keys.at(-1);
  if (newest === undefined) {
    if (!(await hasBox(reader))) return undefined;
    // The one that was there is lost: it came after the backup that was put in place, and those before were stolen.
    await ensureSignalKeys(parts, UPKEEP);
    return 'rotated';
  }
  const now = clock.now();
  const spent = spentKeys(keys, now);
  const batch = newBatch();
  const old = newest.algorithm !== algorithm || newest.createdAt + ROTATE_AFTER_MS <= now;
  if (spent.length > 0) for (const key of spent) retire(batch, keyring, UPKEEP, key);
  else if (old && keys.length < MOST_TOKEN_KEYS) {
    const key = await addTokenKey(batch, keyring, keys, { algorithm, now, random });
    recordCreated(batch, UPKEEP, key, key.createdAt + SIGNAL_KEYS.publishedBefore);
  } else return undefined;
  // Nobody asked for it: an older backup that lacks nothing else is no reason to stop.
  batch.anchored = true;
  const outcome = await commit(batch);
  if (outcome.committed) return spent.length > 0 ? 'retired' : 'rotated';
  // Another process has done it.
  if (outcome.refusal === 'conflict') return undefined;
  throw new WritError(outcome.refusal, outcome.reason);
}

/** Who does what is done by itself. */
const UPKEEP = 'system:signals';

function recordCreated(batch: Batch, caller: string, { jwk, algorithm }: TokenKey, signsFrom: number): void {
  batch.events.push({
    type: 'signal.key_created',
    subjects: ['installation:writ'],
    body: { caller, kid: jwk['kid']!, algorithm, signs_from: new Date(signsFrom).toISOString() },
  });
}

function retire(batch: Batch, keyring: Keyring, caller: string, key: TokenKey): void {
  deleteTokenKey(batch, keyring, key);
  batch.events.push({
    type: 'signal.key_retired',
    subjects: ['installation:writ'],
    body: { caller, kid: key.jwk['kid']!, algorithm: key.algorithm },
  });
}
