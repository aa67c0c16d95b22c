import type { Batch } from '../db/batch.ts';
import type { Reader, Row } from '../db/database.ts';
import type { Name } from '../spiffe-id/name.ts';

/** Somebody who runs the authority, with the serial numbers (content octets) of its unexpired certificates. */
export interface Operator {
  readonly name: Name;
  /** Whose credential it is; a person may be several operators. Empty: a program's, which is nobody's. */
  readonly person: string;
  readonly status: 'active' | 'removed';
  /** Milliseconds. */
  readonly createdAt: number;
  readonly removedAt?: number;
  readonly serials: readonly Uint8Array[];
}

const READ = 'SELECT name, person, status, created_at, removed_at FROM operator';
const SERIALS = 'SELECT serial FROM operator_certificate WHERE operator = ? AND expires_at > ? ORDER BY serial';

export async function readOperator(reader: Reader, name: string, now: number): Promise<Operator | undefined> {
  const row = await reader.get(`${READ} WHERE name = ?`, [name]);
  return row === undefined ? undefined : operatorOf(reader, row, now);
}

/** All of them, in the order of their names: there are few. */
export async function listOperators(reader: Reader, now: number): Promise<Operator[]> {
  const rows = await reader.all(`${READ} ORDER BY name`);
  return Promise.all(rows.map((row) => operatorOf(reader, row, now)));
}

async function operatorOf(reader: Reader, row: Row, now: number): Promise<Operator> {
  const serials = await reader.all(SERIALS, [row['name']!, now]);
  const removedAt = row['removed_at'] as number | null;
  return {
    name: row['name'] as Name,
    person: row['person'] as string,
    status: row['status'] as Operator['status'],
    createdAt: row['created_at'] as number,
    ...(removedAt === null ? {} : { removedAt }),
    serials: serials.map((found) => found['serial'] as Uint8Array),
  };
}

/**
 * Adds an operator under a name that nobody has or had, as the credential of a person, who comes with `pushPerson`. The
 * certificate comes with `addOperatorCertificate`.
 */
export function insertOperator(batch: Batch, name: Name, now: number, person: string = name): void {
  batch.checks.push({
    sql: 'SELECT 1 FROM operator WHERE name = ?',
    params: [name],
    want: 'absent',
    refusal: 'conflict',
    reason: 'The name is taken, or was once: names are never used twice.',
  });
  batch.writes.push({
    sql: "INSERT INTO operator (name, person, status, created_at) VALUES (?, ?, 'active', ?)",
    params: [name, person, now],
  });
}

/** The commit looks again: the operator is there and active. */
export function requireActiveOperator(batch: Batch, name: string): void {
  batch.checks.push({
    sql: "SELECT 1 FROM operator WHERE name = ? AND status = 'active'",
    params: [name],
    want: 'present',
    refusal: 'conflict',
    reason: 'The operator was removed meanwhile.',
  });
}

/** Records a certificate of an operator, and forgets those that have expired. */
export function addOperatorCertificate(
  batch: Batch,
  operator: string,
  certificate: { readonly serial: Uint8Array; readonly expiresAt: number },
  now: number,
): void {
  batch.writes.push({
    sql: 'DELETE FROM operator_certificate WHERE operator = ? AND expires_at <= ?',
    params: [operator, now],
  });
  batch.writes.push({
    sql: 'INSERT INTO operator_certificate (operator, serial, expires_at) VALUES (?, ?, ?)',
    params: [operator, certificate.serial, certificate.expiresAt],
  });
}

/** Removes an operator for ever. Revoking its certificates belongs into the same batch. Caches must go: epoch. */
export function removeOperator(batch: Batch, name: string, now: number): void {
  requireActiveOperator(batch, name);
  batch.writes.push({
    sql: "UPDATE operator SET status = 'removed', removed_at = ? WHERE name = ?",
    params: [now, name],
  });
  batch.bumpsEpoch = true;
}
