import type { Authorize, Caller } from '../../base/access.ts';
import { demand } from '../../base/demand.ts';
import { WritError } from '../../base/error.ts';
import type { Random } from '../../base/random.ts';
import { type Batch, type CommitBatch, newBatch } from '../../db/batch.ts';
import { committed } from '../../db/committed.ts';
import type { Reader } from '../../db/database.ts';
import type { Idempotency, Json } from '../../http/idempotency.ts';
import type { Keyring } from '../../keys/keyring.ts';
import {
  addTokenKey,
  deleteTokenKey,
  MOST_TOKEN_KEYS,
  readTokenKeys,
  SVID_KEYS,
  spentKeys,
  type TokenKey,
} from '../jwt/key.ts';
import { bundleHolds, pushBundle, readBundle } from './bundle.ts';

/** A key of JWT-SVIDs is followed by another when it is this old. */
const ROTATE_AFTER_MS = 30 * 86_400_000;

export interface SvidKeyParts {
  readonly reader: Reader;
  readonly commit: CommitBatch;
  readonly keyring: Keyring;
  readonly random: Random;
  readonly clock: { now(): number };
}

/** Who does what is done by itself. */
const UPKEEP = 'system:bundle';

/**
 * What is due to the keys of JWT-SVIDs by itself: the first one, the next one, and the end of those that nobody needs any
 * more. A key comes into the published bundle in the commit that makes it, and leaves it in the one that deletes it. Gives
 * what was done, for the log; of several processes one does it.
 */
export async function keepSvidKeys(parts: SvidKeyParts): Promise<'made' | 'rotated' | 'retired' | undefined> {
  const { reader, commit, clock } = parts;
  const keys = await readTokenKeys(reader, SVID_KEYS);
  const now = clock.now();
  const newest = keys.at(-1);
  const spent = spentKeys(keys, now);
  const due = newest === undefined || (newest.createdAt + ROTATE_AFTER_MS <= now && keys.length < MOST_TOKEN_KEYS);
  if (spent.length === 0 && !due) return undefined;
  const batch = newBatch();
  if (spent.length > 0)
    await push(batch, parts, { keys, ended: spent, add: false, now, caller: UPKEEP, atOnce: false });
  else await push(batch, parts, { keys, ended: [], add: true, now, caller: UPKEEP, atOnce: newest === undefined });
  const outcome = await commit(batch);
  if (outcome.committed) return spent.length > 0 ? 'retired' : newest === undefined ? 'made' : 'rotated';
  // Another process has done it.
  if (outcome.refusal === 'conflict') return undefined;
  throw new WritError(outcome.refusal, outcome.reason);
}

export interface RotatedSvidKey {
  readonly kid: string;
  /** Milliseconds: until then the one before signs. */
  readonly signsFrom: number;
}

/**
 * Has another key follow the one that signs JWT-SVIDs: published at once, and signing a day later. `atOnce`, for a key
 * that was stolen: the new one signs at once, and those before are deleted and published no more, so that nobody who
 * fetches the bundle believes what they sign.
 *
 * Throws `denied`, `needs_approval`, `conflict`.
 */
export async function rotateSvidKey(
  caller: Caller,
  { atOnce }: { readonly atOnce: boolean },
  parts: SvidKeyParts & { readonly authorize: Authorize },
  { idempotency }: { readonly idempotency?: Idempotency | undefined } = {},
): Promise<RotatedSvidKey> {
  demand(parts.authorize, { caller, action: 'authority.rotate', resource: { type: 'Installation', id: 'writ' } });
  const first = await idempotency?.first();
  if (first?.kind === 'value') return first.value as unknown as RotatedSvidKey;
  const keys = await readTokenKeys(parts.reader, SVID_KEYS);
  if (keys.length >= MOST_TOKEN_KEYS && !atOnce) {
    throw new WritError('conflict', `There are ${keys.length} keys that sign JWT-SVIDs already.`, {
      remedy: 'Each leaves a day after the next took over; or have those that are there replaced at once.',
    });
  }
  const now = parts.clock.now();
  const batch = newBatch();
  const key = await push(batch, parts, { keys, ended: atOnce ? keys : [], add: true, now, caller: caller.id, atOnce });
  const rotated: RotatedSvidKey = {
    kid: key!.jwk['kid']!,
    signsFrom: signsFrom(key!, now, atOnce || keys.length === 0),
  };
  idempotency?.keep(batch, { kind: 'value', value: { ...rotated } satisfies Json });
  committed(await parts.commit(batch));
  return rotated;
}

interface Change {
  readonly keys: readonly TokenKey[];
  readonly ended: readonly TokenKey[];
  readonly add: boolean;
  readonly now: number;
  readonly caller: string;
  /** The new one signs from now on. */
  readonly atOnce: boolean;
}

/** Pushes the end of some keys, perhaps a new one, and the bundle that says so. */
async function push(
  batch: Batch,
  { reader, keyring, random }: SvidKeyParts,
  { keys, ended, add, now, caller, atOnce }: Change,
): Promise<TokenKey | undefined> {
  const [before, { roots }] = [await readBundle(reader), await bundleHolds(reader)];
  const added = add
    ? await addTokenKey(batch, keyring, keys, { use: SVID_KEYS, algorithm: 'ES256', now, random })
    : undefined;
  if (added !== undefined) {
    const from = new Date(signsFrom(added, now, atOnce)).toISOString();
    record(batch, 'jwt.key_created', { caller, kid: added.jwk['kid']!, algorithm: added.algorithm, signs_from: from });
  }
  for (const key of ended) {
    deleteTokenKey(batch, keyring, key);
    record(batch, 'jwt.key_retired', { caller, kid: key.jwk['kid']!, algorithm: key.algorithm });
  }
  const left = keys.filter((key) => !ended.includes(key));
  pushBundle(batch, before, { roots, tokenKeys: added === undefined ? left : [...left, added] }, { now, caller });
  return added;
}

function signsFrom({ createdAt }: TokenKey, now: number, atOnce: boolean): number {
  return atOnce ? now : createdAt + SVID_KEYS.publishedBefore;
}

function record(batch: Batch, type: string, body: Readonly<Record<string, string>>): void {
  batch.events.push({ type, subjects: ['installation:writ'], body });
}
