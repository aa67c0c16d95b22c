import type { Caller } from '../base/access.ts';
import type { Page, PageRequest } from '../db/cursor.ts';
import type { Agent, AgentKind } from '../registry/agent.ts';
import type { AgentChange, AgentInput } from '../registry/agent-input.ts';
import type { AgentFilter } from '../registry/agent-list.ts';
import type { Instance } from '../registry/instance.ts';
import type * as wire from '../wire/agent.ts';
import { agent, agentPage, agentQuery, changeAgent, registerAgent } from '../wire/agent.ts';
import { type Stop, stop } from '../wire/cause.ts';
import { instancePage, instanceQuery } from '../wire/instance.ts';
import { byName } from '../wire/path.ts';
import type { Labels } from '../wire/text.ts';
import { instanceAnswer } from './instances.ts';
import { type Operation, operation, type WriteOptions } from './operation.ts';
import { given, pageAnswer, timeText } from './render.ts';

/** What the routes under `/v1/agents` and `/v1/services` need. Each asks policy, and is told of no agent of another kind. */
export interface Agents {
  register(caller: Caller, input: AgentInput, options: WriteOptions): Promise<Agent>;
  change(caller: Caller, target: Target & { readonly change: AgentChange }, options: WriteOptions): Promise<Agent>;
  /** Stops it, its instances and their certificates for good. */
  retire(caller: Caller, target: Target & Stop, options: WriteOptions): Promise<Agent>;
  show(caller: Caller, target: Target): Promise<Agent>;
  list(caller: Caller, filter: AgentFilter, page: PageRequest): Promise<Page<Agent>>;
  instances(
    caller: Caller,
    filter: Target & { readonly status?: Instance['status'] },
    page: PageRequest,
  ): Promise<Page<Instance>>;
}

interface Target {
  readonly kind: AgentKind;
  readonly name: string;
}

export function agentOperations(agents: Agents): Operation[] {
  return [...ofKind(agents, 'agent'), ...ofKind(agents, 'service')];
}

function ofKind(agents: Agents, kind: AgentKind): Operation[] {
  const path = `/v1/${kind}s`;
  const Kind = kind === 'agent' ? 'Agent' : 'Service';
  const example = exampleOf(kind);
  return [
    operation({
      id: `register${Kind}`,
      method: 'POST',
      path,
      access: 'caller',
      action: 'agent.register',
      summary: `Registers ${kind === 'agent' ? 'an agent' : 'a service'} with whoever answers for it.`,
      body: registerAgent,
      status: 201,
      answer: agent,
      example: { body: { name: example.name, owner: example.owner, purpose: example.purpose }, answer: example },
      handle: async ({ caller, body: { dns_names, ...body }, idempotency }) =>
        agentAnswer(await agents.register(caller, { ...body, kind, ...given('dnsNames', dns_names) }, { idempotency })),
    }),
    operation({
      id: `list${Kind}s`,
      method: 'GET',
      path,
      access: 'caller',
      action: 'agent.read',
      summary: `Lists ${kind}s in the order of their names.`,
      query: agentQuery,
      answer: agentPage,
      example: { answer: { items: [example] } },
      handle: async ({ caller, query: { owner, label, limit, cursor, ...filter } }) =>
        pageAnswer(
          await agents.list(
            caller,
            { ...filter, kind, ...given('team', owner), ...given('labels', labelOf(label)) },
            { ...given('limit', limit), ...given('cursor', cursor) },
          ),
          agentAnswer,
        ),
    }),
    operation({
      id: `get${Kind}`,
      method: 'GET',
      path: `${path}/{name}`,
      access: 'caller',
      action: 'agent.read',
      summary: `One ${kind}.`,
      params: byName,
      answer: agent,
      example: { answer: example },
      handle: async ({ caller, params: { name } }) => agentAnswer(await agents.show(caller, { kind, name })),
    }),
    operation({
      id: `change${Kind}`,
      method: 'PATCH',
      path: `${path}/{name}`,
      access: 'caller',
      action: 'agent.update',
      summary: 'Changes what is said of it, or hands it to another team. Absent fields stay as they are.',
      params: byName,
      body: changeAgent,
      answer: agent,
      example: { body: { purpose: example.purpose }, answer: example },
      handle: async ({ caller, params: { name }, body: { dns_names, ...body }, idempotency }) =>
        agentAnswer(
          await agents.change(
            caller,
            { kind, name, change: { ...body, ...given('dnsNames', dns_names) } },
            { idempotency },
          ),
        ),
    }),
    operation({
      id: `retire${Kind}`,
      method: 'POST',
      path: `${path}/{name}/retire`,
      access: 'caller',
      action: 'agent.retire',
      summary: 'Stops it, its instances and their certificates for good. The name is never given out again.',
      params: byName,
      body: stop,
      answer: agent,
      example: { body: { cause: 'decommissioned' }, answer: { ...example, status: 'retired', version: 2 } },
      handle: async ({ caller, params: { name }, body, idempotency }) =>
        agentAnswer(await agents.retire(caller, { kind, name, ...body }, { idempotency })),
    }),
    operation({
      id: `list${Kind}Instances`,
      method: 'GET',
      path: `${path}/{name}/instances`,
      access: 'caller',
      action: 'agent.read',
      summary: 'Its running copies, and those that ran.',
      params: byName,
      query: instanceQuery,
      answer: instancePage,
      handle: async ({ caller, params: { name }, query: { limit, cursor, ...filter } }) =>
        pageAnswer(
          await agents.instances(
            caller,
            { ...filter, kind, name },
            { ...given('limit', limit), ...given('cursor', cursor) },
          ),
          instanceAnswer,
        ),
    }),
  ];
}

/** `name=value` as the one label of a filter. */
function labelOf(text: string | undefined): Labels | undefined {
  if (text === undefined) return undefined;
  const at = text.indexOf('=');
  return { [text.slice(0, at)]: text.slice(at + 1) };
}

function agentAnswer(found: Agent): wire.Agent {
  const {
    team,
    sponsor,
    ownerStatus,
    createdAt,
    updatedAt,
    name,
    kind,
    purpose,
    environment,
    labels,
    dnsNames,
    profile,
    status,
    version,
  } = found;
  return {
    name,
    kind,
    owner: { team, sponsor },
    purpose,
    environment,
    ...given('model', found.model),
    labels,
    dns_names: dnsNames,
    profile,
    status,
    owner_status: ownerStatus,
    version,
    created_at: timeText(createdAt),
    updated_at: timeText(updatedAt),
  };
}

function exampleOf(kind: AgentKind): wire.Agent {
  return {
    name: kind === 'agent' ? 'planner' : 'ledger-db',
    kind,
    owner: { team: 'payments', sponsor: 'ada@example.com' },
    purpose: kind === 'agent' ? 'plans payments' : 'keeps the books',
    environment: 'production',
    labels: { tier: 'gold' },
    dns_names: [],
    profile: kind,
    status: 'active',
    owner_status: 'active',
    version: 1,
    created_at: '2026-11-22T14:03:22.000Z',
    updated_at: '2026-11-22T14:03:22.000Z',
  };
}
