import type { Caller } from '../base/access.ts';
import { demand } from '../base/demand.ts';
import { WritError } from '../base/error.ts';
import { isName } from '../spiffe-id/name.ts';
import type { Agent, AgentKind } from './agent.ts';
import { readAgent } from './agent-store.ts';
import { INSTALLATION, type RegistryParts } from './flow.ts';

/**
 * Reads an agent that something is about to be done to; the flow then asks policy with its facts. Where there is none,
 * policy is asked whether the caller may list what is registered: who may gets `not_found`, who may not is told `denied`
 * as for any agent that is not its own. A name of the other kind counts as none where a kind is stated.
 */
export async function findAgent(
  caller: Caller,
  name: string,
  parts: Pick<RegistryParts, 'reader' | 'authorize'>,
  kind?: AgentKind,
): Promise<Agent> {
  const agent = isName(name) ? await readAgent(parts.reader, name) : undefined;
  if (agent !== undefined && (kind === undefined || agent.kind === kind)) return agent;
  demand(parts.authorize, { caller, action: 'agent.read', resource: INSTALLATION });
  throw new WritError('not_found', `There is no ${kind ?? 'agent or service'} by that name.`, {
    remedy: 'List what is registered and choose one.',
  });
}
