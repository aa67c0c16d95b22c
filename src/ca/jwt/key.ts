import { WritError } from '../../base/error.ts';
import { newId } from '../../base/id.ts';
import type { Random } from '../../base/random.ts';
import type { Batch } from '../../db/batch.ts';
import type { Reader } from '../../db/database.ts';
import { type JwsAlgorithm, type PublicJwk, publicJwk } from '../../jwt/jwk.ts';
import { generateKey, generateRsaKey } from '../../keys/generate.ts';
import { addKey, deleteKey, type Keyring, openKey } from '../../keys/keyring.ts';
import { localSigner } from '../../keys/local.ts';
import { type TokenSigner, tokenSignerOf } from './sign.ts';

/** ES256 is what every receiver can verify; RS256 is what the CAEP Interoperability Profile 1.0 §2.6 asks for. */
export type TokenAlgorithm = Extract<JwsAlgorithm, 'ES256' | 'RS256'>;

/** One kind of token, which has keys of its own: what is signed with one key is never taken for something else. */
export interface TokenKeyUse {
  /** What the keys are sealed for. Stored; never changes. */
  readonly purpose: 'jwt' | 'jwt-svid';
  /** So long, in milliseconds, a key is published before it signs: who verifies goes on for a while with what it fetched. */
  readonly publishedBefore: number;
  /** So long it stays published after the next has taken over, and then it is deleted. */
  readonly publishedAfter: number;
  /** Of what they are the keys, for messages. */
  readonly of: string;
}

const HOUR = 3_600_000;

/** Of security event tokens (Shared Signals). */
export const SIGNAL_KEYS: TokenKeyUse = {
  purpose: 'jwt',
  publishedBefore: HOUR,
  publishedAfter: 7 * 24 * HOUR,
  of: 'security event tokens',
};

/** Of JWT-SVIDs. A day is long against the refresh hint of the bundle, and against the life of a token. */
export const SVID_KEYS: TokenKeyUse = {
  purpose: 'jwt-svid',
  publishedBefore: 24 * HOUR,
  publishedAfter: 24 * HOUR,
  of: 'JWT-SVIDs',
};

/** A key that signs tokens, or did, or will. */
export interface TokenKey {
  readonly id: string;
  readonly use: TokenKeyUse;
  readonly algorithm: TokenAlgorithm;
  /** Milliseconds. */
  readonly createdAt: number;
  readonly jwk: PublicJwk;
}

/** More than this nobody needs, and receivers limit their sets. */
export const MOST_TOKEN_KEYS = 8;

/** All keys for one kind of token that are there, which all are published; the oldest first. */
export async function readTokenKeys(reader: Reader, use: TokenKeyUse = SIGNAL_KEYS): Promise<readonly TokenKey[]> {
  const rows = await reader.all(
    'SELECT id, spki, created_at FROM sealed_key WHERE purpose = ? ORDER BY created_at, id',
    [use.purpose],
  );
  return rows.map((row) => {
    const jwk = publicJwk(row['spki'] as Uint8Array);
    const algorithm = jwk['alg'] === 'RS256' ? 'RS256' : 'ES256';
    return { id: row['id'] as string, use, algorithm, createdAt: row['created_at'] as number, jwk };
  });
}

/** The one that signs now: the newest that was published long enough, or else the oldest. */
function signingKey(keys: readonly TokenKey[], now: number): TokenKey | undefined {
  return keys.findLast(({ createdAt, use }) => createdAt + use.publishedBefore <= now) ?? keys[0];
}

/** Those that need not be published any more: another took over long enough ago. */
export function spentKeys(keys: readonly TokenKey[], now: number): readonly TokenKey[] {
  const tookOver = keys.findLastIndex(
    ({ createdAt, use }) => createdAt + use.publishedBefore + use.publishedAfter <= now,
  );
  return keys.slice(0, Math.max(0, tookOver));
}

/**
 * Makes a key and pushes it, sealed. It is for tokens alone: no authority's key ever signs one, and it signs no
 * certificate. `keys` are those that are there: the commit is refused with `conflict` when another process made one
 * since.
 */
export async function addTokenKey(
  batch: Batch,
  keyring: Keyring,
  keys: readonly TokenKey[],
  made: {
    readonly use?: TokenKeyUse;
    readonly algorithm: TokenAlgorithm;
    readonly now: number;
    readonly random: Random;
  },
): Promise<TokenKey> {
  const { use = SIGNAL_KEYS, algorithm, now, random } = made;
  const { purpose } = use;
  const newest = keys.at(-1)?.createdAt ?? -1;
  batch.checks.push({
    sql: 'SELECT 1 AS found FROM sealed_key WHERE purpose = ? AND created_at > ?',
    params: [purpose, newest],
    want: 'absent',
    refusal: 'conflict',
    reason: `Another process made a key that signs ${use.of}.`,
  });
  // Their order is that in which they sign.
  const createdAt = Math.max(now, newest + 1);
  const key = algorithm === 'RS256' ? await generateRsaKey() : await generateKey('ecdsa-p256');
  const id = newId(createdAt, random);
  addKey(batch, keyring, { id, purpose, key, now: createdAt, random });
  return { id, use, algorithm, createdAt, jwk: publicJwk(localSigner(key).spki) };
}

/** Pushes the end of a key: nothing is signed with it again, and it is published no more. `conflict` where it has gone. */
export function deleteTokenKey(batch: Batch, keyring: Keyring, { id, use }: TokenKey): void {
  batch.checks.push({
    sql: 'SELECT 1 AS found FROM sealed_key WHERE id = ? AND purpose = ?',
    params: [id, use.purpose],
    want: 'present',
    refusal: 'conflict',
    reason: 'Another process deleted this key.',
  });
  deleteKey(batch, keyring, id);
}

/** For so long, in milliseconds, a process goes on with the signer that it has before it looks whether another is due. */
const LOOK_AGAIN_MS = 1000;

/**
 * Gives the function that opens whichever key signs now; `fresh`: what was looked up may be out of date. It throws as
 * `openKey`, and `not_found` where there is none; nothing of a failure is remembered, so that it opens after a change of
 * passphrase.
 */
export function tokenSigner(
  reader: Reader,
  keyring: Keyring,
  now: () => number,
  use: TokenKeyUse = SIGNAL_KEYS,
): (fresh?: boolean) => Promise<OpenTokenKey> {
  let open: OpenTokenKey | undefined;
  let lookAgainAt = Number.NEGATIVE_INFINITY;
  return async (fresh = false) => {
    if (!fresh && open !== undefined && now() < lookAgainAt && now() >= lookAgainAt - LOOK_AGAIN_MS) return open;
    const key = signingKey(await readTokenKeys(reader, use), now());
    if (key === undefined) throw new WritError('not_found', `There is no key that signs ${use.of}.`);
    if (open?.id !== key.id) {
      const signer = localSigner(await openKey(reader, keyring, { id: key.id, purpose: use.purpose }));
      open = { id: key.id, ...tokenSignerOf(signer) };
    }
    lookAgainAt = now() + LOOK_AGAIN_MS;
    return open;
  };
}

/** A key that signs now. */
export interface OpenTokenKey extends TokenSigner {
  readonly id: string;
}

/** The commit looks again: the key that has signed was not deleted meanwhile. */
export function requireTokenKey(batch: Batch, id: string, { purpose }: TokenKeyUse): void {
  batch.checks.push({
    sql: 'SELECT 1 AS found FROM sealed_key WHERE id = ? AND purpose = ?',
    params: [id, purpose],
    want: 'present',
    refusal: 'conflict',
    reason: 'The key that signs was replaced meanwhile.',
  });
}
