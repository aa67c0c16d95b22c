import type { Caller } from '../base/access.ts';
import { demand } from '../base/demand.ts';
import { WritError } from '../base/error.ts';
import { type Batch, newBatch } from '../db/batch.ts';
import { committed } from '../db/committed.ts';
import type { Reader } from '../db/database.ts';
import type { Json } from '../http/idempotency.ts';
import { type Name, parseName } from '../spiffe-id/name.ts';
import { type ChangeOptions, INSTALLATION, type RegistryParts } from './flow.ts';

/** The group whose consent the default policy asks for. */
export const OFFICERS = 'ca-officers';

/** The group that pulls the cord by the default policy. */
export const SECURITY = 'security';

/** Everybody who is an operator. Nobody is taken into it or out of it. */
export const EVERYBODY = 'all-operators';

/** Whoever has emergency access at the moment (`emergency.ts`). Nobody is taken into it or out of it. */
const BREAK_GLASS = 'break-glass';

const RESERVED: ReadonlySet<string> = new Set([EVERYBODY, BREAK_GLASS]);

/** People who may consent to something together. A group is its members. */
export interface Group {
  readonly name: string;
  readonly members: readonly Member[];
}

interface Member {
  readonly person: string;
  /** Operators who are this person and active: without one nobody speaks for them. */
  readonly operators: readonly string[];
  /** Milliseconds. */
  readonly addedAt: number;
}

const READ =
  'SELECT g.group_name, g.person, g.added_at, o.name AS operator FROM group_member g ' +
  "LEFT JOIN operator o ON o.person = g.person AND o.status = 'active' ORDER BY g.group_name, g.person, o.name";

/** All groups with their members, in the order of their names: there are few. */
async function readGroups(reader: Reader): Promise<Group[]> {
  const groups = new Map<string, Map<string, { operators: string[]; addedAt: number }>>();
  for (const row of await reader.all(READ)) {
    const name = row['group_name'] as string;
    const members = groups.get(name) ?? new Map();
    groups.set(name, members);
    const person = row['person'] as string;
    const member = members.get(person) ?? { operators: [], addedAt: row['added_at'] as number };
    members.set(person, member);
    if (row['operator'] !== null) member.operators.push(row['operator'] as string);
  }
  return [...groups].map(([name, members]) => ({
    name,
    members: [...members].map(([person, member]) => ({ person, ...member })),
  }));
}

/** Names of the groups of each active operator, in order: what policy is told of them. */
export async function readGroupsOfOperators(reader: Reader): Promise<ReadonlyMap<string, readonly string[]>> {
  const found = new Map<string, string[]>();
  for (const { name, members } of await readGroups(reader)) {
    if (RESERVED.has(name)) continue;
    for (const { operators } of members) {
      for (const operator of operators) found.set(operator, [...(found.get(operator) ?? []), name]);
    }
  }
  return found;
}

/** Whether a person is in a group. */
export async function isMember(reader: Reader, group: string, person: string): Promise<boolean> {
  const { sql, params } = membership(group, person);
  return (await reader.get(sql, params)) !== undefined;
}

const MEMBER = 'SELECT 1 AS found FROM group_member WHERE group_name = ? AND person = ?';
const OPERATOR = "SELECT 1 AS found FROM operator WHERE status = 'active' AND person = ? LIMIT 1";

function membership(group: string, person: string): { readonly sql: string; readonly params: string[] } {
  return group === EVERYBODY ? { sql: OPERATOR, params: [person] } : { sql: MEMBER, params: [group, person] };
}

/** The commit looks again: the person is in the group. */
export function requireMember(batch: Batch, group: string, person: string): void {
  const reason = 'The person left the group meanwhile.';
  batch.checks.push({ ...membership(group, person), want: 'present', refusal: 'conflict', reason });
}

/** The commit looks again: the person whose credential an operator is has not left the group. */
export function requireStillMember(batch: Pick<Batch, 'checks'>, group: string, operator: string): void {
  batch.checks.push({
    sql: 'SELECT 1 FROM group_member m JOIN operator o ON o.person = m.person WHERE m.group_name = ? AND o.name = ?',
    params: [group, operator],
    want: 'present',
    refusal: 'conflict',
    reason: `The caller left the group ${group} meanwhile.`,
    standing: true,
  });
}

/** Pushes a membership without its event, for the act that brings the person about. */
export function pushMember(batch: Batch, group: string, person: string, now: number): void {
  batch.writes.push({
    sql: 'INSERT INTO group_member (group_name, person, added_at) VALUES (?, ?, ?)',
    params: [group, person, now],
  });
  batch.bumpsEpoch = true;
}

export interface GroupChange {
  readonly group: string;
  readonly person: string;
  readonly change: 'add' | 'remove';
}

/**
 * Takes a person into a group or out of it. Saying what is so already changes nothing. Gives the group as it stands then.
 * Throws `denied`, `needs_approval`, `bad_request`, `not_found` for a person that is not known, and `conflict`.
 */
export async function changeGroup(
  caller: Caller,
  { group: given, person, change }: GroupChange,
  parts: Pick<RegistryParts, 'reader' | 'authorize' | 'commit' | 'clock'>,
  options: ChangeOptions = {},
): Promise<Group> {
  const { reader, clock } = parts;
  const group = requireOrdinary(given, '/group');
  demand(parts.authorize, { caller, action: 'group.change', resource: { type: 'Group', id: group } });
  const first = await options.idempotency?.first();
  if (first?.kind === 'value') return first.value as unknown as Group;
  if ((await reader.get('SELECT 1 AS found FROM person WHERE id = ?', [person])) === undefined) {
    throw new WritError('not_found', 'There is no person by that name.', {
      field: '/person',
      remedy: 'See "writ operator list": each operator is a person.',
    });
  }
  const before = await isMember(reader, group, person);
  if (before === (change === 'add')) return groupNow(reader, group);
  const now = clock.now();
  const batch = newBatch();
  batch.checks.push({
    sql: MEMBER,
    params: [group, person],
    want: before ? 'present' : 'absent',
    refusal: 'conflict',
    reason: 'The group was changed meanwhile.',
  });
  if (change === 'add') pushMember(batch, group, person, now);
  else {
    batch.writes.push({ sql: 'DELETE FROM group_member WHERE group_name = ? AND person = ?', params: [group, person] });
    batch.bumpsEpoch = true;
  }
  batch.events.push({
    type: 'group.changed',
    subjects: [`group:${group}`, `person:${person}`],
    body: { caller: caller.id, group, person, change: change === 'add' ? 'added' : 'removed' },
  });
  if (options.idempotency !== undefined) {
    const members = (await groupNow(reader, group)).members.filter((member) => member.person !== person);
    const added = change === 'add' ? [{ person, operators: await operatorsOf(reader, person), addedAt: now }] : [];
    const after: Group = { name: group, members: [...members, ...added] };
    options.idempotency.keep(batch, { kind: 'value', value: after as unknown as Json });
  }
  if (options.dryRun !== true) committed(await parts.commit(batch));
  return groupNow(reader, group);
}

/** Gives the name of a group that people are taken into. Throws `bad_request` for what is none, or comes about by itself. */
export function requireOrdinary(given: string, field: string): Name {
  const group = parseName(given, field);
  if (!RESERVED.has(group)) return group;
  throw new WritError('bad_request', 'Nobody is taken into this group or out of it.', {
    field,
    remedy: `Choose another name: ${EVERYBODY} is every operator, and ${BREAK_GLASS} whoever has emergency access.`,
  });
}

export async function showGroups(
  caller: Caller,
  { reader, authorize }: Pick<RegistryParts, 'reader' | 'authorize'>,
): Promise<Group[]> {
  demand(authorize, { caller, action: 'group.read', resource: INSTALLATION });
  return readGroups(reader);
}

async function groupNow(reader: Reader, name: string): Promise<Group> {
  return (await readGroups(reader)).find((group) => group.name === name) ?? { name, members: [] };
}

async function operatorsOf(reader: Reader, person: string): Promise<string[]> {
  const rows = await reader.all("SELECT name FROM operator WHERE person = ? AND status = 'active' ORDER BY name", [
    person,
  ]);
  return rows.map((row) => row['name'] as string);
}
