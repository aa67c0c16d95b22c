import type { Action, Caller } from '../base/access.ts';
import { demand } from '../base/demand.ts';
import { WritError } from '../base/error.ts';
import { isName } from '../spiffe-id/name.ts';
import type { Agent, AgentKind } from './agent.ts';
import { readAgent } from './agent-store.ts';
import { INSTALLATION, type RegistryParts } from './flow.ts';

/**
 * Reads an agent that something is about to be done to; the flow then asks policy with its facts. Where there is none,
 * policy is asked about the installation instead, so that whoever may not know what exists is told `denied` either way;
 * everybody else gets `not_found`, also for a name of the other kind where a kind is stated.
 */
export async function findAgent(
  caller: Caller,
  action: Action,
  name: string,
  parts: Pick<RegistryParts, 'reader' | 'authorize'>,
  kind?: AgentKind,
): Promise<Agent> {
  const agent = isName(name) ? await readAgent(parts.reader, name) : undefined;
  if (agent !== undefined && (kind === undefined || agent.kind === kind)) return agent;
  demand(parts.authorize, { caller, action, resource: INSTALLATION });
  throw new WritError('not_found', `There is no ${kind ?? 'agent or service'} by that name.`, {
    remedy: 'List what is registered and choose one.',
  });
}
