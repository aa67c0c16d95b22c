import { WritError } from '../base/error.ts';
import type { Batch } from '../db/batch.ts';
import type { Reader } from '../db/database.ts';
import { type Agent, agentFault } from './agent.ts';
import { AGENT_COLUMNS, agentOf } from './agent-store.ts';
import { AGENT_HELD, INSTANCE_HELD } from './hold.ts';
import { INSTANCE_COLUMNS, type Instance, instanceOf } from './instance.ts';

/** An instance with the agent it is a copy of, as one query saw them together. */
export interface Standing {
  readonly instance: Instance;
  readonly agent: Agent;
}

const READ =
  `SELECT ${INSTANCE_COLUMNS}, ${AGENT_COLUMNS} ` +
  'FROM instance i JOIN agent a ON a.name = i.agent JOIN owner o ON o.team = a.team WHERE i.id = ?';

/** Reads an instance and its agent. The answer may be kept while the epoch stays. */
export async function readStanding(reader: Reader, instance: string): Promise<Standing | undefined> {
  const row = await reader.get(READ, [instance]);
  return row === undefined ? undefined : { instance: instanceOf(row), agent: agentOf(row) };
}

/** Why nothing is issued for an agent, and whether that is for ever; undefined when nothing stands against it. */
export function agentError(agent: Agent): WritError | undefined {
  const message = agentFault(agent);
  if (message === undefined) return undefined;
  return new WritError(agent.status === 'retired' ? 'revoked' : 'inactive', message, {
    remedy: 'Ask the team that owns it, or an operator.',
  });
}

/** Why nothing is issued for an instance, and whether that is for ever; undefined when nothing stands against it. */
export function standingFault(standing: Standing): { code: 'revoked' | 'inactive'; message: string } | undefined {
  if (standing.instance.status === 'stopped') {
    return { code: 'revoked', message: 'The instance was stopped, which is for ever.' };
  }
  const message = agentFault(standing.agent) ?? instanceFault(standing.instance);
  if (message === undefined) return undefined;
  return { code: standing.agent.status === 'retired' ? 'revoked' : 'inactive', message };
}

/** Why nothing is issued for an instance that is held, its agent aside. */
function instanceFault({ status }: Instance): string | undefined {
  return status === 'quarantined' ? 'The instance is quarantined.' : undefined;
}

const ACTIVE_INSTANCE =
  'SELECT 1 FROM instance i JOIN agent a ON a.name = i.agent JOIN owner o ON o.team = a.team ' +
  "WHERE i.id = ? AND i.status = 'active' AND a.version = ? AND a.status = 'active' AND o.status = 'active' " +
  `AND NOT ${INSTANCE_HELD}`;

const ACTIVE_AGENT =
  'SELECT 1 FROM agent a JOIN owner o ON o.team = a.team ' +
  `WHERE a.name = ? AND a.version = ? AND a.status = 'active' AND o.status = 'active' AND NOT ${AGENT_HELD}`;

/**
 * The commit looks again (DESIGN §3.9): instance, agent and owner are active and the agent is the version that was
 * decided on. One query by primary keys. Refused with `conflict`: whoever reads the standing afresh learns what it is.
 */
export function requireActiveInstance(batch: Batch, { instance, agent }: Standing): void {
  batch.checks.push({
    sql: ACTIVE_INSTANCE,
    params: [instance.id, agent.version],
    want: 'present',
    refusal: 'conflict',
    reason: 'The instance, its agent or its owner changed or stopped meanwhile.',
    standing: true,
  });
}

/** Whether the commit of a batch looks at an instance as `requireActiveInstance` has it do. */
export function looksAtInstance(batch: Batch, instance: string): boolean {
  return batch.checks.some(({ sql, params }) => sql === ACTIVE_INSTANCE && params[0] === instance);
}

/** The same where there is no instance yet. */
export function requireActiveAgent(batch: Batch, agent: Agent): void {
  batch.checks.push({
    sql: ACTIVE_AGENT,
    params: [agent.name, agent.version],
    want: 'present',
    refusal: 'conflict',
    reason: 'The agent or its owner changed or stopped meanwhile.',
    standing: true,
  });
}

const ACTIVE_WHATEVER_VERSION =
  'SELECT 1 FROM instance i JOIN agent a ON a.name = i.agent JOIN owner o ON o.team = a.team ' +
  "WHERE i.id = ? AND i.status = 'active' AND a.status = 'active' AND o.status = 'active' " +
  `AND NOT ${INSTANCE_HELD}`;

/** Whether instance, agent and owner are active, where nothing else about them was decided on. */
export async function isActiveInstance(reader: Reader, instance: string): Promise<boolean> {
  return (await reader.get(ACTIVE_WHATEVER_VERSION, [instance])) !== undefined;
}

/** The commit looks again: instance, agent and owner are active, in whichever version. */
export function requireInstanceActive(batch: Batch, instance: string): void {
  batch.checks.push({
    sql: ACTIVE_WHATEVER_VERSION,
    params: [instance],
    want: 'present',
    refusal: 'conflict',
    reason: 'The instance, its agent or its owner stopped meanwhile.',
    standing: true,
  });
}
