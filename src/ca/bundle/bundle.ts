import { createHash } from 'node:crypto';
import { WritError } from '../../base/error.ts';
import { type Batch, type CommitBatch, newBatch } from '../../db/batch.ts';
import type { Reader } from '../../db/database.ts';
import type { Certificate } from '../../x509/certificate.ts';
import { importPublicKey, parsePublicKey } from '../../x509/public-key.ts';
import { type Authority, rootsOf } from '../authority.ts';
import { readAuthorities } from '../hierarchy.ts';
import { readTokenKeys, SVID_KEYS, type TokenKey } from '../jwt/key.ts';

/**
 * How often relying parties should ask for the bundle anew, in seconds. A key of tokens is published a day before it
 * signs; what this bounds is how long a key that was taken out goes on being believed (Trust Domain and Bundle §6.1).
 */
export const REFRESH_HINT = 300;

type Key = Readonly<Record<string, unknown>>;

/** The bundle as it was published last. What is not in it is not to be believed yet. */
export interface PublishedBundle {
  readonly sequence: number;
  /** Milliseconds. */
  readonly publishedAt: number;
  readonly keys: readonly Key[];
}

/** A SPIFFE bundle: a JWK set (SPIFFE Trust Domain and Bundle §4). */
export interface SpiffeBundle {
  /** Grows whenever the set changes. */
  readonly spiffe_sequence: number;
  /** Seconds. */
  readonly spiffe_refresh_hint: number;
  readonly keys: readonly Key[];
}

export function spiffeBundle({ sequence, keys }: PublishedBundle): SpiffeBundle {
  return { spiffe_sequence: sequence, spiffe_refresh_hint: REFRESH_HINT, keys };
}

export async function readBundle(reader: Reader): Promise<PublishedBundle | undefined> {
  const row = await reader.get('SELECT sequence, published_at, keys FROM trust_bundle WHERE id = 1');
  if (row === undefined) return undefined;
  return {
    sequence: row['sequence'] as number,
    publishedAt: row['published_at'] as number,
    keys: JSON.parse(row['keys'] as string) as Key[],
  };
}

/**
 * Pushes the publication of what the bundle is to hold from now on; nothing where it holds just that. The commit is
 * refused with `conflict` when another process published meanwhile.
 */
export function pushBundle(
  batch: Batch,
  before: PublishedBundle | undefined,
  holds: { readonly roots: readonly Authority[]; readonly tokenKeys: readonly TokenKey[] },
  { now, caller }: { readonly now: number; readonly caller: string },
): void {
  const keys = [...holds.roots.map(({ certificate }) => x509BundleKey(certificate)), ...holds.tokenKeys.map(tokenKey)];
  const text = JSON.stringify(keys);
  if (before !== undefined && JSON.stringify(before.keys) === text) return;
  // Milliseconds, so that it stays ahead of what was published before this table was there.
  const sequence = Math.max(now, (before?.sequence ?? 0) + 1);
  batch.checks.push({
    sql: 'SELECT 1 AS found FROM trust_bundle WHERE id = 1 AND sequence >= ?',
    params: [(before?.sequence ?? -1) + 1],
    want: 'absent',
    refusal: 'conflict',
    reason: 'Another process published the bundle.',
  });
  batch.writes.push({
    sql:
      'INSERT INTO trust_bundle (id, sequence, published_at, keys) VALUES (1, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET ' +
      'sequence = excluded.sequence, published_at = excluded.published_at, keys = excluded.keys',
    params: [sequence, now, text],
  });
  batch.events.push({
    type: 'bundle.published',
    subjects: ['installation:writ'],
    body: {
      caller,
      sequence,
      roots: holds.roots.map(({ certificate }) => createHash('sha256').update(certificate.raw).digest('hex')),
      jwt_keys: holds.tokenKeys.map(({ jwk }) => jwk['kid']!),
    },
  });
  batch.bumpsEpoch = true;
  // A number that was seen is not given again: an older backup learns of it from the anchor.
  batch.anchored = true;
}

/** Publishes what is to be believed now, where that is not what was published last. Of several processes one does it. */
export async function settleBundle(
  parts: { readonly reader: Reader; readonly commit: CommitBatch; readonly clock: { now(): number } },
  caller = 'system:bundle',
): Promise<'published' | undefined> {
  const { reader, commit, clock } = parts;
  const batch = newBatch();
  pushBundle(batch, await readBundle(reader), await bundleHolds(reader), { now: clock.now(), caller });
  if (batch.writes.length === 0) return undefined;
  const outcome = await commit(batch);
  if (outcome.committed) return 'published';
  if (outcome.refusal === 'conflict') return undefined;
  throw new WritError(outcome.refusal, outcome.reason);
}

/** What the bundle is to hold: all roots, and all keys of JWT-SVIDs. */
export async function bundleHolds(
  reader: Reader,
): Promise<{ readonly roots: readonly Authority[]; readonly tokenKeys: readonly TokenKey[] }> {
  return { roots: rootsOf(await readAuthorities(reader)), tokenKeys: await readTokenKeys(reader, SVID_KEYS) };
}

/** With `use` and `x5c` and without `kid` (X.509-SVID §6.1). */
export function x509BundleKey(certificate: Certificate): Key {
  return {
    ...importPublicKey(parsePublicKey(certificate.spki)).export({ format: 'jwk' }),
    use: 'x509-svid',
    x5c: [Buffer.from(certificate.raw).toString('base64')],
  };
}

/** With `use` and `kid` (JWT-SVID §6.1). */
function tokenKey({ jwk }: TokenKey): Key {
  const { use: _, ...members } = jwk;
  return { ...members, use: 'jwt-svid' };
}
