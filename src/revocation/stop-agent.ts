import type { Caller } from '../base/access.ts';
import type { Agent, AgentKind } from '../registry/agent.ts';
import { readAgent } from '../registry/agent-store.ts';
import { absent } from './asked.ts';
import type { CordParts, StopOptions, Why } from './parts.ts';
import { endAll, requireEnded } from './stop.ts';
import { understandStop } from './stop-target.ts';

/**
 * Stops an agent or service for ever, with all its instances and whatever those let in, of whichever agent. It holds from
 * the first commit on; the rest follows in bounded commits before this resolves. Gives the agent as it stands then; one
 * that is stopped already, with all below it, is answered as it is.
 *
 * Throws `bad_request` for a cause that is not on the list and evidence that is no link, `not_found`, `denied`,
 * `rate_limited`, and `needs_approval` where all of it is quarantined until others agree.
 */
export async function stopAgent(
  caller: Caller,
  { name, kind, ...why }: { readonly name: string; readonly kind?: AgentKind } & Why,
  parts: CordParts,
  options: StopOptions = {},
): Promise<Agent> {
  const request = { target: { kind: 'agent', name }, ...why } as const;
  const { found } = await understandStop(caller, request, parts);
  if (kind !== undefined && found.resource.type.toLowerCase() !== kind) throw absent(caller, kind, '/name', parts);
  const stop = await endAll(caller, request, parts, options);
  if (stop !== undefined) requireEnded(stop);
  return (await readAgent(parts.reader, name))!;
}
