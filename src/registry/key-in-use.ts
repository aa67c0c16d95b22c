import type { Batch } from '../db/batch.ts';
import type { Reader } from '../db/database.ts';

/** Who holds a key: an instance id, `operator:<name>` or `server`. */
export type KeyHolder = string;

/** Stands in a holder's place where nobody may use the key again. No instance id or operator reads so. */
const BLOCKED = 'blocked';

/** Later than any certificate. */
const FOR_EVER = 2 ** 53 - 1;

const HELD_BY_OTHER = 'SELECT 1 FROM key_in_use WHERE spki_hash = ? AND holder <> ? AND keep_until > ?';

// A row past its time gives way to a new holder. While it lasts its time only grows; a block stays a block.
const HOLD =
  'INSERT INTO key_in_use (spki_hash, holder, keep_until) VALUES (?, ?, ?) ON CONFLICT (spki_hash) DO UPDATE SET ' +
  'holder = excluded.holder, keep_until = ' +
  'CASE WHEN excluded.keep_until > key_in_use.keep_until THEN excluded.keep_until ELSE key_in_use.keep_until END';

/**
 * Records that `holder` uses a key until `keepUntil` (milliseconds), and lets the commit refuse the batch with
 * `key_in_use` when anybody else does at `now`. `spkiHash` is the SHA-256 of the DER SubjectPublicKeyInfo.
 */
export function holdKey(
  batch: Batch,
  spkiHash: Uint8Array,
  holder: KeyHolder,
  time: { now: number; keepUntil: number },
): void {
  batch.checks.push({
    sql: HELD_BY_OTHER,
    params: [spkiHash, holder, time.now],
    want: 'absent',
    refusal: 'key_in_use',
    reason: 'The public key is in use by another instance, or was withdrawn for good.',
  });
  batch.writes.push({ sql: HOLD, params: [spkiHash, holder, time.keepUntil] });
}

/** Withdraws a key for good: nobody, its holder included, gets a certificate for it again. */
export function blockKey(batch: Batch, spkiHash: Uint8Array): void {
  batch.writes.push({ sql: HOLD, params: [spkiHash, BLOCKED, FOR_EVER] });
}

/** Who holds a key at `now`: for an early answer, before anything is signed. The commit's check is what counts. */
export async function keyHolder(reader: Reader, spkiHash: Uint8Array, now: number): Promise<KeyHolder | undefined> {
  const row = await reader.get('SELECT holder FROM key_in_use WHERE spki_hash = ? AND keep_until > ?', [spkiHash, now]);
  return row?.['holder'] as string | undefined;
}

/**
 * Pushes the removal of at most `limit` keys past their time; refused with `not_found` when there is none. For batches
 * of its own, again and again with pauses.
 */
export function pushKeyPurge(batch: Batch, now: number, limit: number): void {
  batch.checks.push({
    sql: 'SELECT 1 FROM key_in_use WHERE keep_until <= ?',
    params: [now],
    want: 'present',
    refusal: 'not_found',
    reason: 'No key is past its time.',
  });
  batch.writes.push({
    sql:
      'DELETE FROM key_in_use WHERE spki_hash IN ' +
      '(SELECT spki_hash FROM key_in_use WHERE keep_until <= ? ORDER BY keep_until LIMIT ?)',
    params: [now, limit],
  });
}
