import type { Batch } from '../../db/batch.ts';
import type { Reader, Row } from '../../db/database.ts';

/** The claims of a security event token, as they are signed for each attempt. */
export interface SetClaims {
  readonly iss: string;
  readonly aud: string;
  readonly jti: string;
  /** Seconds. */
  readonly iat: number;
  readonly events: Readonly<Record<string, object>>;
  readonly [claim: string]: unknown;
}

/** A SET on its way to a receiver. It stays the same, and keeps its `jti`, however often it is tried. */
export interface QueuedSet {
  readonly stream: string;
  readonly number: number;
  readonly jti: string;
  readonly claims: SetClaims;
  readonly attempts: number;
  /** Milliseconds; not tried before. */
  readonly nextAt: number;
  /** Why the last attempt failed. */
  readonly fault?: string;
  readonly createdAt: number;
}

const COLUMNS = 'stream, number, jti, claims, attempts, next_at, fault, created_at';

/**
 * Pushes a SET to the end of a stream. Numbers are given under the lock of the log, so no two get the same. What is a
 * `notice` is about the stream itself, and goes out whatever its status.
 */
export function pushSet(
  batch: Batch,
  stream: string,
  claims: SetClaims,
  { now, state = 'waiting' }: { readonly now: number; readonly state?: 'waiting' | 'notice' },
): void {
  batch.writes.push({
    sql:
      'INSERT INTO signal_event (stream, number, jti, claims, state, attempts, next_at, fault, created_at) ' +
      'SELECT CAST(? AS TEXT), COALESCE(MAX(number), 0) + 1, CAST(? AS TEXT), CAST(? AS TEXT), ' +
      `'${state}', 0, CAST(? AS BIGINT), '', CAST(? AS BIGINT) FROM signal_event WHERE stream = ?`,
    params: [stream, claims.jti, JSON.stringify(claims), now, now, stream],
  });
}

/** What may go out of a stream now, in the order in which it is to be delivered: notices alone unless it is enabled. */
export async function waitingSets(
  reader: Reader,
  { id, status }: { readonly id: string; readonly status: string },
  limit: number,
): Promise<QueuedSet[]> {
  const states = status === 'enabled' ? "('waiting', 'notice')" : "('notice')";
  const sql = `SELECT ${COLUMNS} FROM signal_event WHERE stream = ? AND state IN ${states} ORDER BY number LIMIT ?`;
  return (await reader.all(sql, [id, limit])).map(setOf);
}

/** What could not be delivered, by stream and number. */
export async function deadSets(
  reader: Reader,
  after: { readonly stream: string; readonly number: number },
  limit: number,
): Promise<QueuedSet[]> {
  const sql =
    `SELECT ${COLUMNS} FROM signal_event WHERE state = 'dead' AND (stream > ? OR (stream = ? AND number > ?)) ` +
    'ORDER BY stream, number LIMIT ?';
  return (await reader.all(sql, [after.stream, after.stream, after.number, limit])).map(setOf);
}

/** How many of a stream wait, and how many are dead. */
export async function countSets(reader: Reader, stream: string): Promise<{ waiting: number; dead: number }> {
  const rows = await reader.all('SELECT state, COUNT(*) AS sets FROM signal_event WHERE stream = ? GROUP BY state', [
    stream,
  ]);
  const count = (state: string): number => (rows.find((row) => row['state'] === state)?.['sets'] as number) ?? 0;
  return { waiting: count('waiting'), dead: count('dead') };
}

/** Pushes that the receiver has these: they go, and are counted. Those that are gone already are counted once more. */
export function pushDelivered(batch: Batch, stream: string, jtis: readonly string[], now: number): void {
  if (jtis.length === 0) return;
  for (const jti of jtis) {
    batch.writes.push({ sql: 'DELETE FROM signal_event WHERE stream = ? AND jti = ?', params: [stream, jti] });
  }
  batch.writes.push({
    sql: 'UPDATE signal_stream SET delivered = delivered + ?, delivered_at = ? WHERE id = ?',
    params: [jtis.length, now, stream],
  });
}

/** Pushes that a SET is to be tried again. */
export function pushPostponed(batch: Batch, { stream, jti, attempts }: QueuedSet, nextAt: number, fault: string): void {
  batch.writes.push({
    sql: "UPDATE signal_event SET attempts = ?, next_at = ?, fault = ? WHERE stream = ? AND jti = ? AND state <> 'dead'",
    params: [attempts + 1, nextAt, fault, stream, jti],
  });
}

/** Pushes that a SET is tried no more; it stays, for a person to see. */
export function pushDead(batch: Batch, stream: string, jti: string, fault: string): void {
  batch.writes.push({
    sql: "UPDATE signal_event SET state = 'dead', attempts = attempts + 1, fault = ? WHERE stream = ? AND jti = ?",
    params: [fault, stream, jti],
  });
}

/** Pushes that all that is dead in a stream is tried again, before what came later. */
export function pushRevived(batch: Batch, stream: string, now: number): void {
  batch.writes.push({
    sql:
      "UPDATE signal_event SET state = 'waiting', attempts = 0, next_at = ?, created_at = ? " +
      "WHERE stream = ? AND state = 'dead'",
    params: [now, now, stream],
  });
}

function setOf(row: Row): QueuedSet {
  const fault = row['fault'] as string;
  return {
    stream: row['stream'] as string,
    number: row['number'] as number,
    jti: row['jti'] as string,
    claims: JSON.parse(row['claims'] as string) as SetClaims,
    attempts: row['attempts'] as number,
    nextAt: row['next_at'] as number,
    ...(fault === '' ? {} : { fault }),
    createdAt: row['created_at'] as number,
  };
}
