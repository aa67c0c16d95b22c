import { hash } from 'node:crypto';
import type { Random } from '../base/random.ts';
import type { Batch } from '../db/batch.ts';
import type { Reader, Row } from '../db/database.ts';
import type { Name } from '../spiffe-id/name.ts';
import type { Agent, AgentData, AgentKind, AgentStatus, Labels } from './agent.ts';
import { AGENT_HELD, heldColumn, isHeld } from './hold.ts';

/** An agent's columns, and its owner's standing. Every query that ends in `agentOf` begins with this. */
export const AGENT_COLUMNS: string =
  'a.name, a.kind, a.team, a.sponsor, a.purpose, a.environment, a.model_provider, a.model_name, a.model_version, ' +
  'a.labels, a.dns_names, a.profile, a.status, a.version, a.created_at, a.updated_at, o.status AS owner_status, ' +
  heldColumn(AGENT_HELD, 'agent_held');

const READ = `SELECT ${AGENT_COLUMNS} FROM agent a JOIN owner o ON o.team = a.team WHERE a.name = ?`;

/** Whether anything was ever registered. */
export async function hasAgents(reader: Reader): Promise<boolean> {
  return (await reader.get('SELECT 1 FROM agent LIMIT 1')) !== undefined;
}

export async function readAgent(reader: Reader, name: string): Promise<Agent | undefined> {
  const row = await reader.get(READ, [name]);
  return row === undefined ? undefined : agentOf(row);
}

/** A row of `AGENT_COLUMNS` as an agent. */
export function agentOf(row: Row): Agent {
  const provider = row['model_provider'] as string;
  const version = row['model_version'] as string;
  return {
    name: row['name'] as Name,
    kind: row['kind'] as AgentKind,
    team: row['team'] as Name,
    sponsor: row['sponsor'] as string,
    purpose: row['purpose'] as string,
    environment: row['environment'] as Name,
    ...(provider === ''
      ? {}
      : { model: { provider, name: row['model_name'] as string, ...(version === '' ? {} : { version }) } }),
    labels: JSON.parse(row['labels'] as string) as Labels,
    dnsNames: JSON.parse(row['dns_names'] as string) as readonly string[],
    profile: row['profile'] as Name,
    status: row['status'] === 'active' && isHeld(row, 'agent_held') ? 'quarantined' : (row['status'] as AgentStatus),
    ownerStatus: row['owner_status'] as 'active' | 'gone',
    version: row['version'] as number,
    createdAt: row['created_at'] as number,
    updatedAt: row['updated_at'] as number,
  };
}

/** The person's name as the ledger may have it, and the salt that stays in the row. */
export interface Sponsor {
  readonly name: string;
  readonly salt: Uint8Array;
  /** Hex SHA-256 over salt and name. */
  readonly digest: string;
}

export function saltSponsor(name: string, random: Random): Sponsor {
  const salt = random(16);
  return { name, salt, digest: hash('sha256', Buffer.concat([salt, Buffer.from(name, 'utf8')])) };
}

/** Adds a new agent of version 1, under a name that nobody has or had (`conflict`) and a team that is not gone. */
export function insertAgent(batch: Batch, agent: Agent, sponsor: Sponsor): void {
  batch.checks.push({
    sql: 'SELECT 1 FROM agent WHERE name = ?',
    params: [agent.name],
    want: 'absent',
    refusal: 'conflict',
    reason: 'The name is taken, or was once: names are never used twice.',
  });
  batch.writes.push({
    sql:
      'INSERT INTO agent (name, kind, team, sponsor, sponsor_salt, purpose, environment, model_provider, model_name, ' +
      'model_version, labels, dns_names, profile, status, version, created_at, updated_at) ' +
      'VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
    params: [agent.name, agent.kind, ...columns(agent, sponsor), 'active', 1, agent.createdAt, agent.updatedAt],
  });
  insertLabels(batch, agent.name, agent.labels);
}

/** Replaces what a person may choose of an agent, if it is still of `version` and not retired; it becomes the next. */
export function updateAgent(
  batch: Batch,
  before: Agent,
  data: AgentData,
  change: { readonly now: number; readonly sponsor: Sponsor },
): void {
  requireVersion(batch, before);
  batch.writes.push({
    sql:
      'UPDATE agent SET team = ?, sponsor = ?, sponsor_salt = ?, purpose = ?, environment = ?, model_provider = ?, ' +
      'model_name = ?, model_version = ?, labels = ?, dns_names = ?, profile = ?, version = ?, updated_at = ? WHERE name = ?',
    params: [...columns(data, change.sponsor), before.version + 1, change.now, before.name],
  });
  batch.bumpsEpoch = true;
  if (JSON.stringify(before.labels) === JSON.stringify(data.labels)) return;
  batch.writes.push({ sql: 'DELETE FROM agent_label WHERE agent = ?', params: [before.name] });
  insertLabels(batch, before.name, data.labels);
}

/** Sets the status of an agent that is still of the version seen, and not retired. Caches of standing must go: epoch. */
export function setAgentStatus(batch: Batch, before: Agent, status: AgentStatus, now: number): void {
  requireVersion(batch, before);
  batch.writes.push({
    sql: 'UPDATE agent SET status = ?, version = ?, updated_at = ? WHERE name = ?',
    params: [status, before.version + 1, now, before.name],
  });
  batch.bumpsEpoch = true;
}

function requireVersion(batch: Batch, agent: Agent): void {
  batch.checks.push({
    sql: "SELECT 1 FROM agent WHERE name = ? AND version = ? AND status <> 'retired'",
    params: [agent.name, agent.version],
    want: 'present',
    refusal: 'conflict',
    reason: `The ${agent.kind} was changed or retired meanwhile.`,
  });
}

function columns(data: AgentData, sponsor: Sponsor): (string | Uint8Array)[] {
  const { provider = '', name = '', version = '' } = data.model ?? {};
  return [
    data.team,
    sponsor.name,
    sponsor.salt,
    data.purpose,
    data.environment,
    provider,
    name,
    version,
    JSON.stringify(data.labels),
    JSON.stringify(data.dnsNames),
    data.profile,
  ];
}

function insertLabels(batch: Batch, agent: string, labels: Labels): void {
  for (const [label, value] of Object.entries(labels)) {
    batch.writes.push({
      sql: 'INSERT INTO agent_label (label, value, agent) VALUES (?, ?, ?)',
      params: [label, value, agent],
    });
  }
}
