import type { Action, ResourceType } from '../base/access.ts';
import { newId } from '../base/id.ts';
import type { Batch } from '../db/batch.ts';
import { decodeCursor, encodeCursor, type Page, type PageRequest, pageLimit } from '../db/cursor.ts';
import type { Reader, Row, SqlValue } from '../db/database.ts';
import { EVERYBODY } from '../registry/group.ts';
import { type Approval, type ApprovalStatus, type Decision, MOST_OPEN } from './approval.ts';

const COLUMNS =
  'id, requester, requester_person, action, resource_type, resource_id, facts, parameters, salt, digest, reason, rule, ' +
  'needed, group_name, policy_version, status, version, created_at, expires_at, ended_at, recovers_at';

/** `now` tells what has expired by then. */
export async function readApproval(reader: Reader, id: string, now: number): Promise<Approval | undefined> {
  const row = await reader.get(`SELECT ${COLUMNS} FROM approval WHERE id = ?`, [id]);
  return row === undefined ? undefined : approvalOf(reader, row, now);
}

export interface ApprovalFilter {
  readonly status?: ApprovalStatus;
  readonly requester?: string;
}

/** The newest first. What has expired but is not recorded so is found under the status that it had. */
export async function listApprovals(
  reader: Reader,
  { status, requester }: ApprovalFilter,
  request: PageRequest,
  now: number,
): Promise<Page<Approval>> {
  const limit = pageLimit(request);
  const filters = { status, requester };
  const before =
    request.cursor === undefined ? '~' : (decodeCursor(request.cursor, 'approvals', filters, ['string'])[0] as string);
  const conditions: string[] = ['id < ?'];
  const params: SqlValue[] = [before];
  if (status !== undefined) conditions.push('status = ?');
  if (status !== undefined) params.push(status);
  if (requester !== undefined) conditions.push('requester = ?');
  if (requester !== undefined) params.push(requester);
  const rows = await reader.all(
    `SELECT ${COLUMNS} FROM approval WHERE ${conditions.join(' AND ')} ORDER BY id DESC LIMIT ${limit + 1}`,
    params,
  );
  const items = await Promise.all(rows.slice(0, limit).map((row) => approvalOf(reader, row, now)));
  const more = rows.length > limit;
  return { items, ...(more ? { next: encodeCursor('approvals', filters, [items.at(-1)!.id]) } : {}) };
}

/** What a caller has open: at most `MOST_OPEN`. */
export async function readOpenOf(reader: Reader, requester: string, now: number): Promise<Approval[]> {
  const rows = await reader.all(
    `SELECT ${COLUMNS} FROM approval WHERE requester = ? AND status IN ('pending', 'granted') AND expires_at > ? ` +
      `ORDER BY id DESC LIMIT ${MOST_OPEN}`,
    [requester, now],
  );
  return Promise.all(rows.map((row) => approvalOf(reader, row, now)));
}

/** Ids of those that are past their time and not recorded so, at most `limit`. */
export async function readLapsed(reader: Reader, now: number, limit: number): Promise<Approval[]> {
  const rows = await reader.all(
    `SELECT ${COLUMNS} FROM approval WHERE status IN ('pending', 'granted') AND expires_at <= ? ORDER BY id LIMIT ${limit}`,
    [now],
  );
  return Promise.all(rows.map((row) => approvalOf(reader, row, now)));
}

async function approvalOf(reader: Reader, row: Row, now: number): Promise<Approval> {
  const text = (column: string): string => row[column] as string;
  const number = (column: string): number => row[column] as number;
  const stored = text('status') as ApprovalStatus;
  const lapsed = (stored === 'pending' || stored === 'granted') && number('expires_at') <= now;
  const endedAt = lapsed ? number('expires_at') : (row['ended_at'] as number | null);
  return {
    id: text('id'),
    requester: text('requester'),
    requesterPerson: text('requester_person'),
    action: text('action') as Action,
    resource: { type: text('resource_type') as ResourceType, id: text('resource_id') },
    facts: JSON.parse(text('facts')) as Approval['facts'],
    parameters: text('parameters'),
    salt: row['salt'] as Uint8Array,
    digest: row['digest'] as Uint8Array,
    reason: text('reason'),
    rule: text('rule'),
    needed: number('needed'),
    group: text('group_name'),
    policyVersion: number('policy_version'),
    status: lapsed ? 'expired' : stored,
    version: number('version'),
    createdAt: number('created_at'),
    expiresAt: number('expires_at'),
    ...(endedAt === null ? {} : { endedAt }),
    ...(row['recovers_at'] === null ? {} : { recoversAt: number('recovers_at') }),
    decisions: await readDecisions(reader, text('id')),
  };
}

async function readDecisions(reader: Reader, approval: string): Promise<Decision[]> {
  const rows = await reader.all(
    'SELECT person, operator, serial, decision, decided_at FROM approval_decision WHERE approval = ? ' +
      'ORDER BY decided_at, person',
    [approval],
  );
  return rows.map((row) => ({
    person: row['person'] as string,
    operator: row['operator'] as string,
    serial: row['serial'] as Uint8Array,
    decision: row['decision'] as Decision['decision'],
    at: row['decided_at'] as number,
  }));
}

/** Adds a request, unless its caller has too many open. */
export function insertApproval(batch: Batch, approval: Approval): void {
  batch.checks.push({
    sql:
      "SELECT 1 FROM approval WHERE requester = ? AND status IN ('pending', 'granted') AND expires_at > ? " +
      `LIMIT 1 OFFSET ${MOST_OPEN - 1}`,
    params: [approval.requester, approval.createdAt],
    want: 'absent',
    refusal: 'rate_limited',
    reason: `The caller has ${MOST_OPEN} requests for approval open.`,
  });
  batch.writes.push({
    sql: `INSERT INTO approval (${COLUMNS}) VALUES (${COLUMNS.split(', ')
      .map(() => '?')
      .join(', ')})`,
    params: [
      approval.id,
      approval.requester,
      approval.requesterPerson,
      approval.action,
      approval.resource.type,
      approval.resource.id,
      JSON.stringify(approval.facts),
      approval.parameters,
      approval.salt,
      approval.digest,
      approval.reason,
      approval.rule,
      approval.needed,
      approval.group,
      approval.policyVersion,
      approval.status,
      approval.version,
      approval.createdAt,
      approval.expiresAt,
      null,
      approval.recoversAt ?? null,
    ],
  });
}

/** What one person says, in place of what they said before. */
export function pushDecision(
  batch: Batch,
  approval: Approval,
  { person, operator, serial, decision, at }: Decision,
): void {
  batch.writes.push({
    sql:
      'INSERT INTO approval_decision (approval, person, operator, serial, decision, decided_at) VALUES (?, ?, ?, ?, ?, ?) ' +
      'ON CONFLICT (approval, person) DO UPDATE SET operator = excluded.operator, serial = excluded.serial, ' +
      'decision = excluded.decision, decided_at = excluded.decided_at',
    params: [approval.id, person, operator, serial, decision, at],
  });
}

/** Changes an approval that is as it was read; refused with `conflict` when it is not, or its time is over. */
export function pushStatus(batch: Batch, { id, version }: Approval, status: ApprovalStatus, now: number): void {
  const ended = status === 'pending' || status === 'granted' ? null : now;
  batch.checks.push({
    sql: `SELECT 1 FROM approval WHERE id = ? AND version = ?${status === 'expired' ? '' : ' AND expires_at > ?'}`,
    params: [id, version, ...(status === 'expired' ? [] : [now])],
    want: 'present',
    refusal: 'conflict',
    reason: 'The approval changed meanwhile, or its time is over.',
  });
  batch.writes.push({
    sql: 'UPDATE approval SET status = ?, version = version + 1, ended_at = ? WHERE id = ?',
    params: [status, ended, id],
  });
}

/** What must be so at the instant of use. */
export interface Use {
  readonly approval: Approval;
  /** What the rule demands now. */
  readonly needed: number;
  readonly group: string;
  /** Whose consent may count: they agreed with certificates that hold. */
  readonly people: readonly string[];
  readonly now: number;
}

/**
 * Uses an approval up. The commit looks again: it is granted, not past its time and not used, and enough of the people
 * who agreed are in the group that the rule names now, through an operator who is active. One person counts once.
 */
export function pushUse(batch: Batch, { approval, needed, group, people, now }: Use): void {
  batch.checks.push({
    sql: "SELECT 1 FROM approval WHERE id = ? AND status = 'granted' AND expires_at > ?",
    params: [approval.id, now],
    want: 'present',
    refusal: 'conflict',
    reason: 'The approval was used or ended meanwhile.',
  });
  batch.checks.push({
    sql:
      'SELECT 1 FROM approval a WHERE a.id = ? AND (SELECT COUNT(DISTINCT d.person) FROM approval_decision d ' +
      "JOIN operator o ON o.name = d.operator AND o.person = d.person AND o.status = 'active' " +
      (group === EVERYBODY ? '' : 'JOIN group_member m ON m.person = d.person AND m.group_name = ? ') +
      "WHERE d.approval = a.id AND d.decision = 'approved' AND d.person <> a.requester_person " +
      `AND d.person IN (${people.length === 0 ? 'NULL' : people.map(() => '?').join(', ')})) >= CAST(? AS BIGINT)`,
    params: [approval.id, ...(group === EVERYBODY ? [] : [group]), ...people, needed],
    want: 'present',
    refusal: 'needs_approval',
    reason: `Of those who agreed fewer than ${needed} are of ${group} any more.`,
  });
  pushUsed(batch, approval, now);
}

/** Uses up what takes effect without consent: the commit looks again that its time has come and nobody has denied it. */
export function pushRecovery(batch: Batch, approval: Approval, now: number): void {
  batch.checks.push({
    sql: "SELECT 1 FROM approval WHERE id = ? AND status = 'pending' AND recovers_at <= ? AND expires_at > ?",
    params: [approval.id, now, now],
    want: 'present',
    refusal: 'conflict',
    reason: 'The request was denied or used meanwhile.',
  });
  pushUsed(batch, approval, now);
}

function pushUsed(batch: Batch, { id }: Approval, now: number): void {
  batch.writes.push({
    sql: "UPDATE approval SET status = 'used', version = version + 1, ended_at = ? WHERE id = ?",
    params: [now, id],
  });
}

/**
 * Forgets approvals that ended before `before` (milliseconds), with what was said of them, at most `limit`. Ids begin
 * with the time at which they were asked for; what ended was asked for at most a week before.
 */
export function pushApprovalPurge(batch: Batch, before: number, limit: number): void {
  const asked = newId(before, (size) => new Uint8Array(size));
  const past =
    "FROM approval WHERE id < ? AND ended_at < ? AND status IN ('denied', 'expired', 'withdrawn', 'used') " +
    'AND NOT EXISTS (SELECT 1 FROM emergency e WHERE e.approval = approval.id)';
  const old = `SELECT id ${past} ORDER BY id LIMIT ${limit}`;
  batch.checks.push({
    sql: `SELECT 1 ${past} LIMIT 1`,
    params: [asked, before],
    want: 'present',
    refusal: 'not_found',
    reason: 'No approval is past retention.',
  });
  batch.writes.push({ sql: `DELETE FROM approval_decision WHERE approval IN (${old})`, params: [asked, before] });
  batch.writes.push({ sql: `DELETE FROM approval WHERE id IN (${old})`, params: [asked, before] });
}
