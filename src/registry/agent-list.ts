import { decodeCursor, encodeCursor, type Page, type PageRequest, pageLimit } from '../db/cursor.ts';
import type { Reader, SqlValue } from '../db/database.ts';
import type { Agent, AgentKind, AgentStatus, Labels } from './agent.ts';
import { AGENT_COLUMNS, agentOf } from './agent-store.ts';
import { AGENT_HELD } from './hold.ts';

/** All stated conditions hold for each agent found. */
export interface AgentFilter {
  readonly kind?: AgentKind;
  readonly team?: string;
  readonly environment?: string;
  readonly status?: AgentStatus;
  readonly labels?: Labels;
}

/** Rows that one page looks at, at most: the work of a page is bounded however few of them fit. */
const LOOKED_AT = 2000;

/**
 * Agents and services in the order of their names. The index of a label or of the team leads where one is stated;
 * other conditions are looked at row by row, so a page may come back short and yet have a `next`.
 */
export async function listAgents(reader: Reader, filter: AgentFilter, request: PageRequest): Promise<Page<Agent>> {
  const limit = pageLimit(request);
  const filters = cursorFilters(filter);
  const after =
    request.cursor === undefined ? '' : (decodeCursor(request.cursor, 'agents', filters, ['string'])[0] as string);
  const lead = leadOf(filter);
  const bound = await reader.get(
    `SELECT ${lead.name} AS name FROM ${lead.from} WHERE ${lead.where}${lead.name} > ? ` +
      `ORDER BY ${lead.name} LIMIT 1 OFFSET ${LOOKED_AT - 1}`,
    [...lead.params, after],
  );
  const end = bound?.['name'] as string | undefined;
  const rest = conditionsOf(filter);
  const rows = await reader.all(
    `SELECT ${AGENT_COLUMNS} FROM ${lead.join} JOIN owner o ON o.team = a.team ` +
      `WHERE ${lead.where}${lead.name} > ?${end === undefined ? '' : ` AND ${lead.name} <= ?`}${rest.where} ` +
      `ORDER BY ${lead.name} LIMIT ${limit + 1}`,
    [...lead.params, after, ...(end === undefined ? [] : [end]), ...rest.params],
  );
  const items = rows.slice(0, limit).map(agentOf);
  const next = rows.length > limit ? items.at(-1)!.name : end;
  return { items, ...(next === undefined ? {} : { next: encodeCursor('agents', filters, [next]) }) };
}

interface Lead {
  /** The table whose index leads, alone and joined to the agents. */
  readonly from: string;
  readonly join: string;
  /** Its column by which the listing is ordered. */
  readonly name: string;
  readonly where: string;
  readonly params: readonly SqlValue[];
}

function leadOf({ labels = {}, team }: AgentFilter): Lead {
  const [label] = Object.entries(labels);
  if (label !== undefined) {
    const join = 'agent_label l JOIN agent a ON a.name = l.agent';
    return { from: 'agent_label l', join, name: 'l.agent', where: 'l.label = ? AND l.value = ? AND ', params: label };
  }
  const all = { from: 'agent a', join: 'agent a', name: 'a.name' };
  return team === undefined ? { ...all, where: '', params: [] } : { ...all, where: 'a.team = ? AND ', params: [team] };
}

/** Every condition, also that of the lead: looking twice costs nothing. */
function conditionsOf({ kind, team, environment, status, labels = {} }: AgentFilter): {
  where: string;
  params: SqlValue[];
} {
  let where = '';
  const params: SqlValue[] = [];
  // What is held has no row of its own that says so.
  if (status === 'active') where += ` AND a.status = 'active' AND NOT ${AGENT_HELD}`;
  if (status === 'quarantined') where += ` AND (a.status = 'quarantined' OR (a.status = 'active' AND ${AGENT_HELD}))`;
  if (status === 'retired') where += " AND a.status = 'retired'";
  for (const [column, value] of Object.entries({ kind, team, environment })) {
    if (value === undefined) continue;
    where += ` AND a.${column} = ?`;
    params.push(value);
  }
  for (const [label, value] of Object.entries(labels)) {
    where += ' AND EXISTS (SELECT 1 FROM agent_label m WHERE m.label = ? AND m.value = ? AND m.agent = a.name)';
    params.push(label, value);
  }
  return { where, params };
}

function cursorFilters({ labels = {}, ...rest }: AgentFilter): Record<string, string | undefined> {
  const sorted = Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1));
  return { ...rest, labels: sorted.length === 0 ? undefined : JSON.stringify(sorted) };
}
