import type { Batch } from '../db/batch.ts';
import type { Reader, Row } from '../db/database.ts';

/** What took place outside the usual way, for others to look at. Rows stay until that was done, and 400 days more. */
export interface Emergency {
  readonly id: string;
  /** `break-glass`: emergency access of an operator. `recovery`: an act of the administrator that nobody agreed to. */
  readonly kind: 'break-glass' | 'recovery';
  /** Who has the access, or came back by the recovery; and whose credential that is. */
  readonly operator: string;
  readonly person: string;
  readonly purpose: string;
  readonly approval: string;
  /** Who agreed. */
  readonly people: readonly string[];
  /** Milliseconds. From `endsAt` on it is over, whether that is recorded yet or not. */
  readonly beganAt: number;
  readonly endsAt: number;
  readonly endedAt?: number;
  readonly reviewedAt?: number;
  /** The person who did. */
  readonly reviewedBy?: string;
  readonly note?: string;
}

/** Longest emergency access, in seconds. */
export const LONGEST_EMERGENCY = 1800;

const COLUMNS =
  'id, kind, operator, person, purpose, approval, people, began_at, ends_at, ended_at, reviewed_at, reviewed_by, note';

export async function readEmergency(reader: Reader, id: string): Promise<Emergency | undefined> {
  const row = await reader.get(`SELECT ${COLUMNS} FROM emergency WHERE id = ?`, [id]);
  return row === undefined ? undefined : emergencyOf(row);
}

/** The newest first, below the id `before`. `open`: those alone that nobody has reviewed. */
export async function listEmergencies(
  reader: Reader,
  { open, before, limit }: { readonly open: boolean; readonly before: string; readonly limit: number },
): Promise<Emergency[]> {
  const rows = await reader.all(
    `SELECT ${COLUMNS} FROM emergency WHERE id < ?${open ? ' AND reviewed_at IS NULL' : ''} ORDER BY id DESC LIMIT ${limit}`,
    [before],
  );
  return rows.map(emergencyOf);
}

/** Emergency access that is in force, by operator. */
export async function readEmergencyAccess(
  reader: Reader,
  now: number,
): Promise<ReadonlyMap<string, { readonly id: string; readonly endsAt: number }>> {
  const rows = await reader.all(
    "SELECT id, operator, ends_at FROM emergency WHERE ended_at IS NULL AND ends_at > ? AND kind = 'break-glass'",
    [now],
  );
  return new Map(
    rows.map((row) => [row['operator'] as string, { id: row['id'] as string, endsAt: row['ends_at'] as number }]),
  );
}

/** Those whose time is over and whose end is not on record, at most `limit`. */
export async function readEnded(reader: Reader, now: number, limit: number): Promise<Emergency[]> {
  const rows = await reader.all(
    `SELECT ${COLUMNS} FROM emergency WHERE ended_at IS NULL AND ends_at <= ? ORDER BY id LIMIT ${limit}`,
    [now],
  );
  return rows.map(emergencyOf);
}

/** How many are in force, and how many wait for a review. */
export async function countEmergencies(
  reader: Reader,
  now: number,
): Promise<{ readonly inForce: number; readonly unreviewed: number }> {
  const row = await reader.get(
    'SELECT COUNT(*) AS unreviewed, COALESCE(SUM(CASE WHEN ended_at IS NULL AND ends_at > ? THEN 1 ELSE 0 END), 0) AS in_force ' +
      'FROM emergency WHERE reviewed_at IS NULL',
    [now],
  );
  return { inForce: Number(row?.['in_force'] ?? 0), unreviewed: Number(row?.['unreviewed'] ?? 0) };
}

/** Adds one; refused with `conflict` while the operator, or another credential of that person, has one already. */
export function insertEmergency(batch: Batch, one: Emergency): void {
  if (one.kind === 'break-glass') {
    batch.checks.push({
      sql: "SELECT 1 FROM emergency WHERE kind = 'break-glass' AND ended_at IS NULL AND ends_at > ? AND person = ?",
      params: [one.beganAt, one.person],
      want: 'absent',
      refusal: 'conflict',
      reason: 'The person has emergency access already, which cannot be made longer.',
    });
  }
  batch.writes.push({
    sql: `INSERT INTO emergency (${COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL, NULL)`,
    params: [
      ...[one.id, one.kind, one.operator, one.person, one.purpose, one.approval, JSON.stringify(one.people)],
      ...[one.beganAt, one.endsAt, one.endedAt ?? null],
    ],
  });
  if (one.kind === 'break-glass') batch.bumpsEpoch = true;
}

/** Puts an end on record: at its time, or before it. Refused with `conflict` when it is there. */
export function pushEnd(batch: Batch, id: string, at: number): void {
  batch.checks.push({
    sql: 'SELECT 1 FROM emergency WHERE id = ? AND ended_at IS NULL',
    params: [id],
    want: 'present',
    refusal: 'conflict',
    reason: 'The emergency access is over.',
  });
  batch.writes.push({ sql: 'UPDATE emergency SET ended_at = ?, ends_at = ? WHERE id = ?', params: [at, at, id] });
  batch.bumpsEpoch = true;
}

/** Closes the review. Refused with `conflict` when somebody did. */
export function pushReview(
  batch: Batch,
  { id, at, by, note }: { readonly id: string; readonly at: number; readonly by: string; readonly note: string },
): void {
  batch.checks.push({
    sql: 'SELECT 1 FROM emergency WHERE id = ? AND reviewed_at IS NULL',
    params: [id],
    want: 'present',
    refusal: 'conflict',
    reason: 'It was reviewed already.',
  });
  batch.writes.push({
    sql: 'UPDATE emergency SET reviewed_at = ?, reviewed_by = ?, note = ? WHERE id = ?',
    params: [at, by, note, id],
  });
}

/** The commit looks again: the access on which an act rests has neither ended nor run out. */
export function requireEmergency(batch: Pick<Batch, 'checks'>, id: string, now: number): void {
  batch.checks.push({
    sql: 'SELECT 1 FROM emergency WHERE id = ? AND ended_at IS NULL AND ends_at > ?',
    params: [id, now],
    want: 'present',
    refusal: 'denied',
    reason: 'The emergency access is over.',
  });
}

/** Forgets what was reviewed before `before` (milliseconds), at most `limit`. What nobody has looked at stays. */
export function pushEmergencyPurge(batch: Batch, before: number, limit: number): void {
  batch.checks.push({
    sql: 'SELECT 1 FROM emergency WHERE reviewed_at < ? LIMIT 1',
    params: [before],
    want: 'present',
    refusal: 'not_found',
    reason: 'No review is past retention.',
  });
  batch.writes.push({
    sql: `DELETE FROM emergency WHERE id IN (SELECT id FROM emergency WHERE reviewed_at < ? ORDER BY id LIMIT ${limit})`,
    params: [before],
  });
}

function emergencyOf(row: Row): Emergency {
  const text = (column: string): string => row[column] as string;
  const [endedAt, reviewedAt] = [row['ended_at'] as number | null, row['reviewed_at'] as number | null];
  return {
    id: text('id'),
    kind: text('kind') as Emergency['kind'],
    operator: text('operator'),
    person: text('person'),
    purpose: text('purpose'),
    approval: text('approval'),
    people: JSON.parse(text('people')) as string[],
    beganAt: row['began_at'] as number,
    endsAt: row['ends_at'] as number,
    ...(endedAt === null ? {} : { endedAt }),
    ...(reviewedAt === null ? {} : { reviewedAt, reviewedBy: text('reviewed_by'), note: text('note') }),
  };
}
