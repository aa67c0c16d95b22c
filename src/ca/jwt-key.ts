import { WritError } from '../base/error.ts';
import { newId } from '../base/id.ts';
import type { Random } from '../base/random.ts';
import type { Batch } from '../db/batch.ts';
import type { Reader } from '../db/database.ts';
import { type JwsAlgorithm, type PublicJwk, publicJwk } from '../jwt/jwk.ts';
import { generateKey, generateRsaKey } from '../keys/generate.ts';
import { addKey, deleteKey, type Keyring, openKey } from '../keys/keyring.ts';
import { localSigner } from '../keys/local.ts';
import type { Signer } from '../keys/signer.ts';

/** What keys of tokens are sealed for. Stored; never changes. */
const PURPOSE = 'jwt';

/** ES256 is what every receiver can verify; RS256 is what the CAEP Interoperability Profile 1.0 §2.6 asks for. */
export type TokenAlgorithm = Extract<JwsAlgorithm, 'ES256' | 'RS256'>;

/** A key that signs tokens, or did, or will. */
export interface TokenKey {
  readonly id: string;
  readonly algorithm: TokenAlgorithm;
  /** Milliseconds. */
  readonly createdAt: number;
  readonly jwk: PublicJwk;
}

/** So long a key is published before it signs: receivers go on for a while with the key set that they have fetched. */
export const PUBLISHED_BEFORE_MS = 3_600_000;
/** So long it stays published after the next has taken over, and then it is deleted. */
const PUBLISHED_AFTER_MS = 7 * 86_400_000;
/** More than this nobody needs, and receivers limit their sets. */
export const MOST_TOKEN_KEYS = 8;

/** All keys that are there, which all are published; the oldest first. Empty before the first stream. */
export async function readTokenKeys(reader: Reader): Promise<readonly TokenKey[]> {
  const rows = await reader.all(
    'SELECT id, spki, created_at FROM sealed_key WHERE purpose = ? ORDER BY created_at, id',
    [PURPOSE],
  );
  return rows.map((row) => {
    const jwk = publicJwk(row['spki'] as Uint8Array);
    const algorithm = jwk['alg'] === 'RS256' ? 'RS256' : 'ES256';
    return { id: row['id'] as string, algorithm, createdAt: row['created_at'] as number, jwk };
  });
}

/** The one that signs now: the newest that was published long enough, or else the oldest. */
function signingKey(keys: readonly TokenKey[], now: number): TokenKey | undefined {
  return keys.findLast(({ createdAt }) => createdAt + PUBLISHED_BEFORE_MS <= now) ?? keys[0];
}

/** Those that need not be published any more: another took over long enough ago. */
export function spentKeys(keys: readonly TokenKey[], now: number): readonly TokenKey[] {
  const tookOver = keys.findLastIndex(({ createdAt }) => createdAt + PUBLISHED_BEFORE_MS + PUBLISHED_AFTER_MS <= now);
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
  { algorithm, now, random }: { readonly algorithm: TokenAlgorithm; readonly now: number; readonly random: Random },
): Promise<TokenKey> {
  const newest = keys.at(-1)?.createdAt ?? -1;
  batch.checks.push({
    sql: 'SELECT 1 AS found FROM sealed_key WHERE purpose = ? AND created_at > ?',
    params: [PURPOSE, newest],
    want: 'absent',
    refusal: 'conflict',
    reason: 'Another process made a key that signs security event tokens.',
  });
  // Their order is that in which they sign.
  const createdAt = Math.max(now, newest + 1);
  const key = algorithm === 'RS256' ? await generateRsaKey() : await generateKey('ecdsa-p256');
  const id = newId(createdAt, random);
  addKey(batch, keyring, { id, purpose: PURPOSE, key, now: createdAt, random });
  return { id, algorithm, createdAt, jwk: publicJwk(localSigner(key).spki) };
}

/** Pushes the end of a key: nothing is signed with it again, and it is published no more. `conflict` where it has gone. */
export function deleteTokenKey(batch: Batch, keyring: Keyring, { id }: TokenKey): void {
  batch.checks.push({
    sql: 'SELECT 1 AS found FROM sealed_key WHERE id = ? AND purpose = ?',
    params: [id, PURPOSE],
    want: 'present',
    refusal: 'conflict',
    reason: 'Another process deleted this key.',
  });
  deleteKey(batch, keyring, id);
}

/** For so long, in milliseconds, a process goes on with the signer that it has before it looks whether another is due. */
const LOOK_AGAIN_MS = 1000;

/**
 * Gives the function that opens whichever key signs now. It throws as `openKey`, and `not_found` where there is none;
 * nothing of a failure is remembered, so that it opens after a change of passphrase.
 */
export function tokenSigner(reader: Reader, keyring: Keyring, now: () => number): () => Promise<Signer> {
  let open: { readonly id: string; readonly signer: Signer } | undefined;
  let lookAgainAt = Number.NEGATIVE_INFINITY;
  return async () => {
    if (open !== undefined && now() < lookAgainAt && now() >= lookAgainAt - LOOK_AGAIN_MS) return open.signer;
    const key = signingKey(await readTokenKeys(reader), now());
    if (key === undefined) throw new WritError('not_found', 'There is no key that signs security event tokens.');
    if (open?.id !== key.id) {
      open = { id: key.id, signer: localSigner(await openKey(reader, keyring, { id: key.id, purpose: PURPOSE })) };
    }
    lookAgainAt = now() + LOOK_AGAIN_MS;
    return open.signer;
  };
}
