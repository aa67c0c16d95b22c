import type { Batch } from '../db/batch.ts';
import type { Reader, Row } from '../db/database.ts';

/**
 * What can be held as a whole. Agents and services have one space of names. `orphan`: what a team owned that is gone, for
 * as long as it is that team's.
 */
type HoldKind = 'certificate' | 'instance' | 'agent' | 'owner' | 'orphan' | 'label' | 'authority';

/**
 * A quarantine in force: one row, from whose commit on all that it covers is held, also what comes under it later, and
 * with whose end all of it is free that no other row covers. Nobody's own row changes.
 */
export interface Hold {
  readonly kind: HoldKind;
  /** Serial number in hex, instance id, name, team, `key=value`, authority id. */
  readonly target: string;
  /** Whether whatever the covered instances let in is covered with them, full depth, of whichever agent: see `holdOn`. */
  readonly descend: boolean;
  /** Id of the stop that it belongs to. */
  readonly stop: string;
}

/**
 * What a new hold of this covers: whatever the instances let in falls with them. A certificate is held alone, since its
 * instance may go on with another, and so is an authority, which lets nobody in. Rows that say otherwise were written
 * when this depended on the cause, and keep their meaning.
 */
export function holdOn(kind: HoldKind, target: string): Omit<Hold, 'stop'> {
  return { kind, target, descend: kind !== 'certificate' && kind !== 'authority' };
}

/** Pushes a hold; refused with `conflict` where there is the same one, so that the caller can answer with that. */
export function insertHold(batch: Batch, { kind, target, descend, stop }: Hold): void {
  batch.checks.push({
    sql: 'SELECT 1 FROM hold WHERE kind = ? AND target = ? AND descend = ?',
    params: [kind, target, descend ? 1 : 0],
    want: 'absent',
    refusal: 'conflict',
    reason: 'It was quarantined meanwhile.',
  });
  batch.writes.push({
    sql: 'INSERT INTO hold (kind, target, descend, fragment, stop) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING',
    params: [kind, target, descend ? 1 : 0, kind === 'label' ? labelFragment(target) : '', stop],
  });
  batch.bumpsEpoch = true;
}

/** Pushes the end of the hold of a stop. */
export function deleteHold(batch: Batch, stop: string): void {
  batch.writes.push({ sql: 'DELETE FROM hold WHERE stop = ?', params: [stop] });
  batch.bumpsEpoch = true;
}

export async function readHold(reader: Reader, hold: Omit<Hold, 'stop'>): Promise<Hold | undefined> {
  const row = await reader.get('SELECT stop FROM hold WHERE kind = ? AND target = ? AND descend = ?', [
    hold.kind,
    hold.target,
    hold.descend ? 1 : 0,
  ]);
  return row === undefined ? undefined : { ...hold, stop: row['stop'] as string };
}

/**
 * The commit looks again: whoever takes an agent over, or gives it other labels, does not lead it out of a quarantine.
 * What is held only because its team is gone may be taken over: that is how somebody answers for it.
 */
export function requireNoEscape(
  batch: Batch,
  leaving: { readonly team?: string; readonly labels: readonly string[] },
): void {
  const targets = [
    ...(leaving.team === undefined ? [] : [['owner', leaving.team]]),
    ...leaving.labels.map((label) => ['label', label]),
  ];
  for (const [kind, target] of targets) {
    batch.checks.push({
      sql: 'SELECT 1 FROM hold WHERE kind = ? AND target = ?',
      params: [kind!, target!],
      want: 'absent',
      refusal: 'inactive',
      reason: `The ${kind === 'owner' ? 'team' : 'label'} that it would leave is quarantined; that is released first.`,
    });
  }
}

/** Whether a team or one of some labels (`key=value`) is held, so that what comes under it is. */
export async function holdsAny(
  reader: Reader,
  entering: { readonly team?: string; readonly labels: readonly string[] },
): Promise<boolean> {
  const { team, labels } = entering;
  const marks = labels.map(() => '?').join(', ');
  const row = await reader.get(
    `SELECT 1 AS found FROM hold WHERE (kind = 'owner' AND target = ?)` +
      `${labels.length === 0 ? '' : ` OR (kind = 'label' AND target IN (${marks}))`} LIMIT 1`,
    [team ?? '', ...labels],
  );
  return row !== undefined;
}

/** The commit looks again: none of the labels (`key=value`) that a newcomer brings is held. */
export function requireLabelsFree(batch: Batch, labels: readonly string[]): void {
  for (const label of labels) {
    batch.checks.push({
      sql: "SELECT 1 FROM hold WHERE kind = 'label' AND target = ?",
      params: [label],
      want: 'absent',
      refusal: 'inactive',
      reason: LABEL_HELD,
    });
  }
}

/** Why nobody comes in with a label. */
export const LABEL_HELD = 'A label that it would have is quarantined.';

/** How `key=value` reads in labels as they are stored, where it can stand for nothing else: quotes in values are escaped. */
export function labelFragment(label: string): string {
  const mark = label.indexOf('=');
  return `${JSON.stringify(label.slice(0, mark))}:${JSON.stringify(label.slice(mark + 1))}`;
}

const held = (kind: HoldKind, target: string, reaches: string): string =>
  `EXISTS (SELECT 1 FROM hold h WHERE h.kind = '${kind}' AND h.target = ${target}${reaches})`;

const agentHeld = (agent: string, reaches: string): string =>
  `${held('agent', `${agent}.name`, reaches)} OR ${held('owner', `${agent}.team`, reaches)} OR ` +
  `${held('orphan', `${agent}.team`, reaches)} OR ` +
  `EXISTS (SELECT 1 FROM agent_label l JOIN hold h ON h.kind = 'label' AND h.target = l.label || '=' || l.value ` +
  `WHERE l.agent = ${agent}.name${reaches})`;

/** Asked before all else: while nothing is held, nobody pays for the rest. */
const ANY = 'EXISTS (SELECT 1 FROM hold)';

/** Whether an agent is held, by its name, team or label: an expression over its row `a`. */
export const AGENT_HELD: string = `(${ANY} AND (${agentHeld('a', '')}))`;

const REACHES = ' AND (up.above = 0 OR h.descend = 1)';

/** How many instances are above any other, at most; see `registry/instance.ts`. */
const DEEPEST = 8;

/**
 * Whether an instance is held, by itself, its agent, or one that let it in where the hold descends: an expression over
 * its row `i`. `up` is the instance and all above it.
 */
export const INSTANCE_HELD: string =
  `(${ANY} AND EXISTS (WITH RECURSIVE up (id, parent, agent, labels, above) AS (` +
  'SELECT u.id, u.parent, u.agent, u.labels, 0 FROM instance u WHERE u.id = i.id UNION ALL ' +
  `SELECT p.id, p.parent, p.agent, p.labels, up.above + 1 FROM up JOIN instance p ON p.id = up.parent WHERE up.above <= ${DEEPEST}) ` +
  `SELECT 1 FROM up JOIN agent b ON b.name = up.agent WHERE ${held('instance', 'up.id', REACHES)} OR ` +
  `${agentHeld('b', REACHES)} OR ` +
  `EXISTS (SELECT 1 FROM hold h WHERE h.kind = 'label' AND REPLACE(up.labels, h.fragment, '') <> up.labels${REACHES})))`;

/** Whether a row of a query says that what it is about is held. */
export function isHeld(row: Row, column: string): boolean {
  return Number(row[column] ?? 0) === 1;
}

/** As a column: 1 or 0 on either engine. */
export function heldColumn(expression: string, name: string): string {
  return `CASE WHEN ${expression} THEN 1 ELSE 0 END AS ${name}`;
}

const CERTIFICATE_HELD =
  "SELECT kind FROM hold WHERE (kind = 'certificate' AND target = ?) OR (kind = 'authority' AND target = ?)";

/** Whether a certificate is held by its serial number (hex) or with the authority (id) that signed it. */
export async function certificateHold(
  reader: Reader,
  serial: string,
  issuer: string,
): Promise<'certificate' | 'authority' | undefined> {
  const row = await reader.get(CERTIFICATE_HELD, [serial, issuer]);
  return row?.['kind'] as 'certificate' | 'authority' | undefined;
}

/** The commit looks again: the authority (id) may issue. */
export function requireAuthorityFree(batch: Batch, issuer: string): void {
  batch.checks.push({
    sql: "SELECT 1 FROM hold WHERE kind = 'authority' AND target = ?",
    params: [issuer],
    want: 'absent',
    refusal: 'inactive',
    reason: 'The authority that issues is quarantined.',
    standing: true,
  });
}
