import type { Caller } from '../base/access.ts';
import { demand } from '../base/demand.ts';
import { WritError } from '../base/error.ts';
import { newBatch } from '../db/batch.ts';
import { committed } from '../db/committed.ts';
import type { Json } from '../http/idempotency.ts';
import { type Agent, agentResource } from './agent.ts';
import { registeredEvent } from './agent-event.ts';
import { type AgentInput, parseAgentInput } from './agent-input.ts';
import { insertAgent, readAgent, saltSponsor } from './agent-store.ts';
import type { ChangeOptions, RegistryParts } from './flow.ts';
import { holdsAny } from './hold.ts';
import { readOwner, requireOwner } from './owner.ts';

/**
 * Registers an agent or service with its owner. A team nobody has heard of becomes an owner with its first agent.
 * Throws `bad_request`, `too_large`, `denied`, `needs_approval`, `inactive` (the team is gone) and `conflict` (the name
 * is taken, or was).
 */
export async function registerAgent(
  caller: Caller,
  input: AgentInput,
  parts: RegistryParts,
  options: ChangeOptions = {},
): Promise<Agent> {
  const data = parseAgentInput(input);
  const now = parts.clock.now();
  const agent: Agent = {
    ...data,
    status: 'active',
    ownerStatus: 'active',
    version: 1,
    createdAt: now,
    updatedAt: now,
  };
  demand(parts.authorize, { caller, action: 'agent.register', resource: agentResource(agent) });
  const first = await options.idempotency?.first();
  if (first?.kind === 'value') return first.value as unknown as Agent;

  await requireProfile(parts, agent);
  await requireNames(parts, agent);
  if ((await readOwner(parts.reader, agent.team))?.status === 'gone') throw ownerGone();
  if ((await readAgent(parts.reader, agent.name)) !== undefined) {
    throw new WritError('conflict', 'The name is taken, or was once: names are never used twice.', {
      field: '/name',
      remedy: 'Choose another name.',
    });
  }

  const batch = newBatch();
  const sponsor = saltSponsor(agent.sponsor, parts.random);
  requireOwner(batch, agent.team, now);
  insertAgent(batch, agent, sponsor);
  batch.events.push(registeredEvent(caller, agent, sponsor));
  // What comes under a quarantine is held from the beginning; its own row says nothing of that.
  const labels = Object.entries(agent.labels).map(([label, value]) => `${label}=${value}`);
  const held = await holdsAny(parts.reader, { team: agent.team, labels });
  const answer: Agent = held ? { ...agent, status: 'quarantined' } : agent;
  options.idempotency?.keep(batch, { kind: 'value', value: answer as unknown as Json });
  if (options.dryRun !== true) committed(await parts.commit(batch));
  return answer;
}

/** Throws `bad_request` when no certificate of the agent's kind can follow its profile. */
export async function requireProfile(parts: RegistryParts, agent: Pick<Agent, 'profile' | 'kind'>): Promise<void> {
  if (await parts.profileFits(agent.profile, agent.kind)) return;
  throw new WritError('bad_request', `There is no profile by that name that a certificate of this kind can follow.`, {
    field: '/profile',
    remedy: 'List the profiles and choose one of them.',
  });
}

/** Throws `bad_request` for a DNS name that no certificate of that profile could carry. */
export async function requireNames(
  parts: RegistryParts,
  { profile, dnsNames }: Pick<Agent, 'profile' | 'dnsNames'>,
): Promise<void> {
  if (dnsNames.length === 0 || (await parts.namesFit(profile, dnsNames))) return;
  throw new WritError('bad_request', 'The profile does not give all of these DNS names.', {
    field: '/dns_names',
    remedy: `Give names that lie in the DNS names of the profile; "writ profile show ${profile}" lists them.`,
  });
}

export function ownerGone(): WritError {
  return new WritError('inactive', 'The team is gone and answers for nothing any more.', {
    field: '/owner/team',
    remedy: 'Name another team, or have this one restored.',
  });
}
