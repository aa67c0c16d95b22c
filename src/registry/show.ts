import type { Caller } from '../base/access.ts';
import { demand } from '../base/demand.ts';
import { WritError } from '../base/error.ts';
import type { Page, PageRequest } from '../db/cursor.ts';
import { type Agent, type AgentKind, agentResource } from './agent.ts';
import { type AgentFilter, listAgents } from './agent-list.ts';
import { findAgent } from './find.ts';
import { INSTALLATION, type RegistryParts } from './flow.ts';
import { type Instance, listInstances } from './instance.ts';
import { listOperators, type Operator } from './operator.ts';
import { readStanding } from './standing.ts';

type ReadParts = Pick<RegistryParts, 'reader' | 'authorize'>;

/** One agent or service. Throws `denied` and `not_found`, the latter also where `kind` is stated and is not its kind. */
export async function showAgent(caller: Caller, name: string, parts: ReadParts, kind?: AgentKind): Promise<Agent> {
  const agent = await findAgent(caller, name, parts, kind);
  demand(parts.authorize, { caller, action: 'agent.read', resource: agentResource(agent) });
  return agent;
}

export async function showAgents(
  caller: Caller,
  filter: AgentFilter,
  request: PageRequest,
  parts: ReadParts,
): Promise<Page<Agent>> {
  demand(parts.authorize, { caller, action: 'agent.read', resource: INSTALLATION });
  return listAgents(parts.reader, filter, request);
}

/** Instances of one agent or service. Throws as `showAgent`. */
export async function showInstances(
  caller: Caller,
  filter: { readonly agent: string; readonly status?: Instance['status'] },
  request: PageRequest,
  parts: ReadParts,
): Promise<Page<Instance>> {
  await showAgent(caller, filter.agent, parts);
  return listInstances(parts.reader, filter, request);
}

/** Throws `denied`, and `not_found` for those who may read all. */
export async function showInstance(caller: Caller, id: string, parts: ReadParts): Promise<Instance> {
  const standing = await readStanding(parts.reader, id);
  const resource = standing === undefined ? INSTALLATION : agentResource(standing.agent);
  demand(parts.authorize, { caller, action: 'agent.read', resource });
  if (standing !== undefined) return standing.instance;
  throw new WritError('not_found', 'There is no instance of that id.', { remedy: 'List the instances of its agent.' });
}

export async function showOperators(
  caller: Caller,
  parts: ReadParts & Pick<RegistryParts, 'clock'>,
): Promise<Operator[]> {
  demand(parts.authorize, { caller, action: 'operator.read', resource: INSTALLATION });
  return listOperators(parts.reader, parts.clock.now());
}
