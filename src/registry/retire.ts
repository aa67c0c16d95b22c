import type { Caller } from '../base/access.ts';
import { demand } from '../base/demand.ts';
import { WritError } from '../base/error.ts';
import { type Batch, newBatch } from '../db/batch.ts';
import { committed } from '../db/committed.ts';
import type { Json } from '../http/idempotency.ts';
import { type Agent, agentResource } from './agent.ts';
import { statusEvent } from './agent-event.ts';
import { setAgentStatus } from './agent-store.ts';
import { findAgent } from './find.ts';
import type { ChangeOptions, RegistryParts } from './flow.ts';
import { sponsorFacts } from './sponsor.ts';

/**
 * Adds to a batch that an agent or service is retired for ever: nothing more is issued for it, and its name is never
 * used again. Stopping its instances and revoking their certificates is `revocation/`'s, in the same batch or after it.
 */
export function pushRetirement(batch: Batch, caller: Caller, before: Agent, now: number, cause?: string): void {
  setAgentStatus(batch, before, 'retired', now);
  batch.events.push(statusEvent(caller, before, 'retired', cause));
}

/**
 * Retires an agent or service and does nothing to the certificates that are out: they run to their end. Retiring what
 * is retired answers with it. Throws `denied`, `needs_approval`, `not_found` and `conflict`.
 */
export async function retireAgent(
  caller: Caller,
  name: string,
  parts: RegistryParts,
  options: ChangeOptions = {},
): Promise<Agent> {
  const before = await findAgent(caller, name, parts);
  const context = await sponsorFacts(caller, before, parts.reader);
  demand(parts.authorize, { caller, action: 'agent.retire', resource: agentResource(before), context });
  const first = await options.idempotency?.first();
  if (first?.kind === 'value') return first.value as unknown as Agent;
  if (before.status === 'retired') return before;

  const now = parts.clock.now();
  const after: Agent = { ...before, status: 'retired', version: before.version + 1, updatedAt: now };
  const batch = newBatch();
  pushRetirement(batch, caller, before, now);
  options.idempotency?.keep(batch, { kind: 'value', value: after as unknown as Json });
  if (options.dryRun !== true) committed(await parts.commit(batch));
  return after;
}

export function retired(agent: Agent): WritError {
  return new WritError('revoked', `The ${agent.kind} was retired, which is for ever.`, {
    remedy: 'Register another under a new name.',
  });
}
