import type { Batch } from '../../db/batch.ts';
import type { Reader, Row } from '../../db/database.ts';

/**
 * What the revocation lists are made of: one row for each certificate that is revoked or held, from the commit that
 * says so until it has left the lists. Each change takes the next number of one sequence, so whoever makes lists reads
 * what changed since they looked and nothing else.
 */

/** CRLReason of RFC 5280 §5.3.1 of what is held, and of what was and no longer is. */
export const HELD = 6;
export const RELEASED = 8;

/** Which certificate, as its row of the index says. */
export interface ListedCertificate {
  readonly serial: Uint8Array;
  /** Id of the authority that signed it. */
  readonly issuer: string;
  /** Absent where the certificate names no shard. */
  readonly shard?: string;
  /** Milliseconds. */
  readonly expiresAt: number;
}

/** A certificate that is revoked or held. */
export interface RevokedRow extends ListedCertificate {
  /** CRLReason of RFC 5280; `HELD` may be lifted again. */
  readonly reason: number;
  /** Milliseconds: since when. */
  readonly at: number;
  /** Grows with every change of any row. */
  readonly sequence: number;
}

/** Commits come one after another, so that a number is visible only after all smaller ones. */
const NEXT = '(SELECT COALESCE(MAX(sequence), 0) + 1 FROM revoked)';

const INSERT =
  'INSERT INTO revoked (serial, issuer, shard, reason, at, expires_at, sequence) ' +
  `VALUES (?, ?, ?, ?, ?, ?, ${NEXT}) ON CONFLICT (serial) DO UPDATE SET ` +
  'reason = excluded.reason, at = excluded.at, sequence = excluded.sequence WHERE ';

/** Pushes that a certificate is revoked, which it stays; the first revocation counts. A hold becomes a revocation. */
export function pushRevoked(
  batch: Batch,
  certificate: ListedCertificate,
  { at, reason }: { readonly at: number; readonly reason: number },
): void {
  push(batch, certificate, { at, reason, over: `revoked.reason IN (${HELD}, ${RELEASED})` });
}

/** Pushes that a certificate is held (certificateHold). One that is revoked stays so; one that is held stays held since then. */
export function pushHeld(batch: Batch, certificate: ListedCertificate, { at }: { readonly at: number }): void {
  push(batch, certificate, { at, reason: HELD, over: `revoked.reason = ${RELEASED}` });
}

/** Pushes the end of a hold. Whatever is revoked, or was never held, is left as it is. */
export function pushReleased(
  batch: Batch,
  { serial }: Pick<ListedCertificate, 'serial'>,
  { at }: { readonly at: number },
): void {
  batch.writes.push({
    sql: `UPDATE revoked SET reason = ${RELEASED}, at = ?, sequence = ${NEXT} WHERE serial = ? AND reason = ${HELD}`,
    params: [at, serial],
  });
}

function push(
  batch: Batch,
  { serial, issuer, shard, expiresAt }: ListedCertificate,
  { at, reason, over }: { readonly at: number; readonly reason: number; readonly over: string },
): void {
  batch.writes.push({ sql: INSERT + over, params: [serial, issuer, shard ?? null, reason, at, expiresAt] });
}

export const REVOKED_COLUMNS = 'serial, issuer, shard, reason, at, expires_at, sequence';

/**
 * The certificate's revocation or hold; undefined when it has none, or has expired so long ago that it left the lists
 * (its row of the index still says that it was revoked).
 */
export async function readRevoked(reader: Reader, serial: Uint8Array): Promise<RevokedRow | undefined> {
  const row = await reader.get(`SELECT ${REVOKED_COLUMNS} FROM revoked WHERE serial = ? AND reason <> ${RELEASED}`, [
    serial,
  ]);
  return row === undefined ? undefined : revokedOf(row);
}

/** A row of `REVOKED_COLUMNS`. */
export function revokedOf(row: Row): RevokedRow {
  const shard = row['shard'] as string | null;
  return {
    serial: row['serial'] as Uint8Array,
    issuer: row['issuer'] as string,
    ...(shard === null ? {} : { shard }),
    reason: row['reason'] as number,
    at: row['at'] as number,
    expiresAt: row['expires_at'] as number,
    sequence: row['sequence'] as number,
  };
}

/** Which of these certificates are held, as serial numbers in hex. */
export async function heldOf(
  reader: Reader,
  certificates: readonly Pick<ListedCertificate, 'serial'>[],
): Promise<Set<string>> {
  if (certificates.length === 0) return new Set();
  const marks = certificates.map(() => '?').join(', ');
  const rows = await reader.all(
    `SELECT serial FROM revoked WHERE serial IN (${marks}) AND reason = ${HELD}`,
    certificates.map(({ serial }) => serial),
  );
  return new Set(rows.map((row) => Buffer.from(row['serial'] as Uint8Array).toString('hex')));
}

/** Milliseconds after its expiry, within which a certificate has been on a list that was signed after that. */
const LEFT_AFTER = 7 * 24 * 3600 * 1000;

/**
 * Pushes that at most `limit` rows go whose certificates have left all lists; refused where there are none. The newest
 * change stays: numbers would be given out again.
 */
export function pushRevokedPurge(batch: Batch, now: number, limit: number): void {
  const left = 'FROM revoked WHERE expires_at < ? AND sequence < (SELECT MAX(sequence) FROM revoked)';
  batch.checks.push({
    sql: `SELECT 1 ${left}`,
    params: [now - LEFT_AFTER],
    want: 'present',
    refusal: 'not_found',
    reason: 'Nothing has left the lists.',
  });
  batch.writes.push({
    sql: `DELETE FROM revoked WHERE serial IN (SELECT serial ${left} LIMIT ${limit})`,
    params: [now - LEFT_AFTER],
  });
}
