import * as z from 'zod';
import { PAGE_MEMBERS, type Page, type PageQuery, pageOf } from './page.ts';
import { type Schema, schemaOf } from './schema.ts';
import { type Labels, labels, line, name, time } from './text.ts';

/** Who answers for an agent or service: a team and a person of it. */
interface Owner {
  readonly team: string;
  readonly sponsor: string;
}

const owner: Schema<Owner> = schemaOf<Owner>()(
  z.strictObject({ team: name, sponsor: z.string().min(1).max(254).describe('A person, e.g. by e-mail address.') }),
);

interface Model {
  readonly provider: string;
  readonly name: string;
  readonly version?: string;
}

const model: Schema<Model> = schemaOf<Model>()(
  z.strictObject({
    provider: z.string().min(1).max(128),
    name: z.string().min(1).max(128),
    version: z.string().min(1).max(128).exactOptional(),
  }),
);

/** Registers an agent or service; which of them, the route says. */
export interface RegisterAgent {
  readonly name: string;
  readonly owner: Owner;
  readonly purpose: string;
  readonly environment?: string;
  readonly model?: Model;
  readonly labels?: Labels;
  readonly dns_names?: readonly string[];
  readonly profile?: string;
}

const ownDnsNames: Schema<readonly string[]> = schemaOf<readonly string[]>()(
  z.array(z.string().min(1).max(253)).max(16).describe('DNS names of its own; those below belong to it, too.'),
);

export const registerAgent: Schema<RegisterAgent> = schemaOf<RegisterAgent>()(
  z.strictObject({
    name,
    owner,
    purpose: line,
    environment: name.exactOptional(),
    model: model.exactOptional(),
    labels: labels.exactOptional(),
    dns_names: ownDnsNames.exactOptional(),
    profile: name.exactOptional(),
  }),
);

/** Changes an agent or service: absent members stay, `model`, `labels` and `dns_names` are replaced whole. */
export interface ChangeAgent {
  readonly owner?: { readonly team?: string; readonly sponsor?: string };
  readonly purpose?: string;
  readonly environment?: string;
  readonly model?: Model;
  readonly labels?: Labels;
  readonly dns_names?: readonly string[];
  readonly profile?: string;
}

export const changeAgent: Schema<ChangeAgent> = schemaOf<ChangeAgent>()(
  z.strictObject({
    owner: z
      .strictObject({ team: name.exactOptional(), sponsor: z.string().min(1).max(254).exactOptional() })
      .exactOptional(),
    purpose: line.exactOptional(),
    environment: name.exactOptional(),
    model: model.exactOptional(),
    labels: labels.exactOptional(),
    dns_names: ownDnsNames.exactOptional(),
    profile: name.exactOptional(),
  }),
);

/** A registered agent or service. */
export interface Agent {
  readonly name: string;
  readonly kind: 'agent' | 'service';
  readonly owner: Owner;
  readonly purpose: string;
  readonly environment: string;
  readonly model?: Model;
  readonly labels: Labels;
  readonly dns_names: readonly string[];
  readonly profile: string;
  readonly status: 'active' | 'quarantined' | 'retired';
  /** `gone`: nothing is issued until another team takes it over. */
  readonly owner_status: 'active' | 'gone';
  /** Counts its changes from 1. */
  readonly version: number;
  readonly created_at: string;
  readonly updated_at: string;
}

export const agent: Schema<Agent> = schemaOf<Agent>()(
  z.strictObject({
    name,
    kind: z.enum(['agent', 'service']),
    owner,
    purpose: line,
    environment: name,
    model: model.exactOptional(),
    labels,
    dns_names: ownDnsNames,
    profile: name,
    status: z.enum(['active', 'quarantined', 'retired']),
    owner_status: z.enum(['active', 'gone']),
    version: z.int().min(1),
    created_at: time,
    updated_at: time,
  }),
);

export const agentPage: Schema<Page<Agent>> = pageOf(agent);

export interface AgentQuery extends PageQuery {
  /** The team. */
  readonly owner?: string;
  readonly environment?: string;
  readonly status?: Agent['status'];
  /** `name=value`. */
  readonly label?: string;
}

export const agentQuery: Schema<AgentQuery> = schemaOf<AgentQuery>()(
  z.strictObject({
    owner: name.exactOptional(),
    environment: name.exactOptional(),
    status: z.enum(['active', 'quarantined', 'retired']).exactOptional(),
    label: z
      .string()
      .max(320)
      .regex(/^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}=.*$/, 'Give name=value, like tier=gold.')
      .exactOptional(),
    ...PAGE_MEMBERS,
  }),
);
