import type { Caller } from '../base/access.ts';
import { demand } from '../base/demand.ts';
import { newBatch } from '../db/batch.ts';
import { committed } from '../db/committed.ts';
import type { Json } from '../http/idempotency.ts';
import { type Agent, type AgentData, agentResource } from './agent.ts';
import { updatedEvent } from './agent-event.ts';
import { type AgentChange, applyChange } from './agent-input.ts';
import { saltSponsor, updateAgent } from './agent-store.ts';
import { findAgent } from './find.ts';
import type { ChangeOptions, RegistryParts } from './flow.ts';
import { holdsAny, requireNoEscape } from './hold.ts';
import { readOwner, requireOwner } from './owner.ts';
import { ownerGone, requireNames, requireProfile } from './register.ts';
import { retired } from './retire.ts';
import { sponsorFacts } from './sponsor.ts';

const FIELDS = ['team', 'sponsor', 'purpose', 'environment', 'model', 'labels', 'dnsNames', 'profile'] as const;

/**
 * Changes what is said of an agent or service: also how another team takes it over. What stays the same costs nothing
 * and is not recorded. Throws as `registerAgent`, `not_found`, and `revoked` for one that was retired; `conflict` when
 * somebody else changed it meanwhile.
 */
export async function changeAgent(
  caller: Caller,
  target: { readonly name: string; readonly change: AgentChange },
  parts: RegistryParts,
  options: ChangeOptions = {},
): Promise<Agent> {
  const before = await findAgent(caller, target.name, parts);
  const data = applyChange(before, target.change);
  const changes = changedFields(before, data);
  demand(parts.authorize, {
    caller,
    action: 'agent.update',
    resource: agentResource(before),
    context: { changes, team: data.team, environment: data.environment, profile: data.profile },
  });
  const first = await options.idempotency?.first();
  if (first?.kind === 'value') return first.value as unknown as Agent;

  if (before.status === 'retired') throw retired(before);
  // Whoever brings it under what is held holds it; what is held already, or has no owner, only changes its place.
  if (before.status === 'active' && before.ownerStatus === 'active' && (await comesUnderHold(before, data, parts))) {
    const context = { kind: 'agent', cause: 'policy_change', ...(await sponsorFacts(caller, before, parts.reader)) };
    demand(parts.authorize, { caller, action: 'stop.quarantine', resource: agentResource(before), context });
  }
  if (changes.includes('profile')) await requireProfile(parts, { ...before, ...data });
  if (changes.includes('profile') || changes.includes('dnsNames')) await requireNames(parts, data);
  const owner = await readOwner(parts.reader, data.team);
  if (owner?.status === 'gone') throw ownerGone();

  if (changes.length === 0) return before;
  const now = parts.clock.now();
  const { model: _, ...rest } = before;
  const after: Agent = { ...rest, ...data, ownerStatus: 'active', version: before.version + 1, updatedAt: now };
  const sponsor = saltSponsor(data.sponsor, parts.random);
  const batch = newBatch();
  requireOwner(batch, data.team, now);
  const labels = Object.entries(before.labels).filter(([label, value]) => data.labels[label] !== value);
  requireNoEscape(batch, {
    ...(data.team === before.team ? {} : { team: before.team }),
    labels: labels.map(([label, value]) => `${label}=${value}`),
  });
  updateAgent(batch, before, data, { now, sponsor });
  batch.events.push(updatedEvent(caller, before, data, sponsor));
  options.idempotency?.keep(batch, { kind: 'value', value: after as unknown as Json });
  if (options.dryRun !== true) committed(await parts.commit(batch));
  return after;
}

/** Whether its new team, or a label that it is given, is quarantined. */
function comesUnderHold(before: Agent, after: AgentData, { reader }: RegistryParts): Promise<boolean> {
  const labels = Object.entries(after.labels).filter(([label, value]) => before.labels[label] !== value);
  return holdsAny(reader, {
    ...(after.team === before.team ? {} : { team: after.team }),
    labels: labels.map(([label, value]) => `${label}=${value}`),
  });
}

function changedFields(before: AgentData, after: AgentData): string[] {
  return FIELDS.filter((field) => JSON.stringify(before[field]) !== JSON.stringify(after[field]));
}
