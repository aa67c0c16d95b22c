import type { Caller } from '../base/access.ts';
import type { JsonValue, LedgerEvent } from '../db/batch.ts';
import type { Agent, AgentData, AgentStatus } from './agent.ts';
import type { Sponsor } from './agent-store.ts';

/*
 * The subject `registration:` leads to what was done to the agent itself, without its instances: `agent:` has them all,
 * and they can be a million.
 */

/** An agent as the ledger has it: all that its rows can be made from again, but for the sponsor's name. */
export function registeredEvent(caller: Caller, agent: Agent, sponsor: Sponsor): LedgerEvent {
  return {
    type: 'agent.registered',
    subjects: [`agent:${agent.name}`, `registration:${agent.name}`, `owner:${agent.team}`],
    body: { caller: caller.id, agent: agent.name, kind: agent.kind, version: 1, ...described(agent, sponsor) },
  };
}

/** Whole again rather than as a difference, so that one entry says what the agent was from then on. */
export function updatedEvent(caller: Caller, before: Agent, data: AgentData, sponsor: Sponsor): LedgerEvent {
  const teams = new Set([before.team, data.team]);
  return {
    type: 'agent.updated',
    subjects: [`agent:${before.name}`, `registration:${before.name}`, ...[...teams].map((team) => `owner:${team}`)],
    body: {
      caller: caller.id,
      agent: before.name,
      kind: before.kind,
      version: before.version + 1,
      ...described(data, sponsor),
    },
  };
}

/** An agent was quarantined, set free or retired; `cause` is one of `revocation/`'s where there is one. */
export function statusEvent(caller: Caller, before: Agent, status: AgentStatus, cause?: string): LedgerEvent {
  return {
    type: status === 'retired' ? 'agent.retired' : 'agent.updated',
    subjects: [`agent:${before.name}`, `registration:${before.name}`, `owner:${before.team}`],
    body: {
      caller: caller.id,
      agent: before.name,
      version: before.version + 1,
      status,
      ...(cause === undefined ? {} : { cause }),
    },
  };
}

function described(data: AgentData, sponsor: Sponsor): { [key: string]: JsonValue } {
  return {
    team: data.team,
    sponsor_sha256: sponsor.digest,
    purpose: data.purpose,
    environment: data.environment,
    ...(data.model === undefined ? {} : { model: { ...data.model } }),
    labels: data.labels,
    ...(data.dnsNames.length === 0 ? {} : { dns_names: data.dnsNames }),
    profile: data.profile,
  };
}
