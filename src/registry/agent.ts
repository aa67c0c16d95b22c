import type { Facts } from '../base/access.ts';
import type { Name } from '../spiffe-id/name.ts';

export type AgentKind = 'agent' | 'service';
export type AgentStatus = 'active' | 'quarantined' | 'retired';

/** The model behind an agent, as its team states it. Nobody checks it. */
export interface Model {
  readonly provider: string;
  readonly name: string;
  readonly version?: string;
}

/** Names to texts, e.g. `tier` to `gold`. */
export type Labels = Readonly<Record<string, string>>;

/** What a row holds of an agent or service and a person may choose. */
export interface AgentData {
  readonly team: Name;
  /** The person who answers for it. Personal data: never to the ledger or a log. */
  readonly sponsor: string;
  readonly purpose: string;
  readonly environment: Name;
  readonly model?: Model;
  readonly labels: Labels;
  /** DNS names of its own: its certificates carry these, or names below them. */
  readonly dnsNames: readonly string[];
  /** Name of the profile that its certificates follow. */
  readonly profile: Name;
}

/** A registered agent or service, with what its owner's standing makes of it. Plain data, fit for a JSON answer. */
export interface Agent extends AgentData {
  readonly name: Name;
  readonly kind: AgentKind;
  readonly status: AgentStatus;
  readonly ownerStatus: 'active' | 'gone';
  /** Counts its changes from 1. */
  readonly version: number;
  /** Milliseconds. */
  readonly createdAt: number;
  readonly updatedAt: number;
}

/** What policy is asked about when something is done to an agent or service. */
export function agentResource(agent: Agent): { type: 'Agent' | 'Service'; id: string; facts: Facts } {
  return { type: agent.kind === 'agent' ? 'Agent' : 'Service', id: agent.name, facts: agentFacts(agent) };
}

/**
 * The facts that rules may read of an agent: the attributes of `Agent` and `Service` in `policy/schema.cedarschema`.
 * Of its people there is the team alone.
 */
function agentFacts(agent: Omit<Agent, 'dnsNames' | 'version' | 'createdAt' | 'updatedAt'>): Facts {
  return {
    team: agent.team,
    environment: agent.environment,
    profile: agent.profile,
    status: agent.status !== 'retired' && agent.ownerStatus === 'gone' ? 'orphaned' : agent.status,
    labels: Object.entries(agent.labels).map(([label, value]) => `${label}=${value}`),
    ...(agent.model === undefined ? {} : { modelProvider: agent.model.provider, modelName: agent.model.name }),
  };
}

/** Why nothing is issued for an agent, as a sentence; undefined when it is active and owned. */
export function agentFault(agent: Agent): string | undefined {
  if (agent.status === 'retired') return `The ${agent.kind} was retired, which is for ever.`;
  if (agent.ownerStatus === 'gone') return `The team that owns the ${agent.kind} is gone; another has to take it over.`;
  if (agent.status === 'quarantined') return `The ${agent.kind} is quarantined.`;
  return undefined;
}
