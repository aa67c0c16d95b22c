import * as z from 'zod';
import { PAGE_MEMBERS, type Page, type PageQuery, pageOf } from './page.ts';
import { type Schema, schemaOf } from './schema.ts';
import { id, type Labels, labels, lifetime, name, scopes, time } from './text.ts';

/*
 * Registration entries: what must be attested, and as which agent or service its bearer is let in.
 */

/** `name=value` of one fact; a value may end in `*`. */
const matcher = z
  .string()
  .max(1280)
  .regex(/^[a-z0-9]+:[^\s=]{1,128}=.{1,1024}$/, 'Give name=value, like unix:uid=1000 or oidc:sub=repo:org/*.');
const match = z.array(matcher).min(1).max(32);
const hint = z
  .string()
  .min(1)
  .max(255)
  .regex(/^[\x21-\x7e]+$/, 'Give printable ASCII without spaces.');
const trustDomains = z
  .array(
    z
      .string()
      .max(255)
      .regex(/^[a-z0-9._-]+$/, 'Give the name of a trust domain, like partner.example.'),
  )
  .max(64);
const per = z.enum(['process', 'node']);

/** Exactly one of `agent` and `service`, and one of `attestor` and `node`, is there. */
export interface CreateEntry {
  readonly agent?: string;
  readonly service?: string;
  /** Name of the attestor that its bearers come with evidence of. */
  readonly attestor?: string;
  /** Name of the service whose instances (`writ agent`) let in what they see. */
  readonly node?: string;
  /** All must hold. */
  readonly match: readonly string[];
  /** What the workload is told apart by when it has several identities. */
  readonly hint?: string;
  readonly workflow?: string;
  readonly scopes?: readonly string[];
  readonly labels?: Labels;
  readonly lifetime_seconds?: number;
  /** Trust domains whose bundles its bearers get, too. */
  readonly federates_with?: readonly string[];
  /** Of what a node sees: each process is an instance of its own (the default), or all that match share one. */
  readonly per?: 'process' | 'node';
}

const said = {
  attestor: name.exactOptional(),
  node: name.exactOptional(),
  match,
  hint: hint.exactOptional(),
  workflow: z.string().min(1).max(255).exactOptional(),
  lifetime_seconds: lifetime.exactOptional(),
};

export const createEntry: Schema<CreateEntry> = schemaOf<CreateEntry>()(
  z
    .strictObject({
      agent: name.exactOptional(),
      service: name.exactOptional(),
      ...said,
      scopes: scopes.exactOptional(),
      labels: labels.exactOptional(),
      federates_with: trustDomains.exactOptional(),
      per: per.exactOptional(),
    })
    .refine((entry) => (entry.agent === undefined) !== (entry.service === undefined), {
      message: 'Give exactly one of agent and service.',
      path: ['agent'],
    })
    .refine((entry) => (entry.attestor === undefined) !== (entry.node === undefined), {
      message: 'Give exactly one of attestor and node.',
      path: ['node'],
    }),
);

export interface Entry {
  readonly id: string;
  /** As whose instances its bearers are let in. */
  readonly kind: 'agent' | 'service';
  readonly name: string;
  readonly attestor?: string;
  readonly node?: string;
  readonly match: readonly string[];
  readonly hint?: string;
  readonly workflow?: string;
  readonly lifetime_seconds?: number;
  readonly scopes: readonly string[];
  readonly labels: Labels;
  readonly federates_with: readonly string[];
  readonly per: 'process' | 'node';
  readonly created_by: string;
  readonly created_at: string;
}

const entryMembers = z.strictObject({
  id,
  kind: z.enum(['agent', 'service']),
  name,
  ...said,
  scopes,
  labels,
  federates_with: trustDomains,
  per,
  created_by: z.string().max(2048),
  created_at: time,
});

export const entry: Schema<Entry> = schemaOf<Entry>()(entryMembers);

export const entryPage: Schema<Page<Entry>> = pageOf(entry);

export interface EntryQuery extends PageQuery {
  readonly agent?: string;
  readonly service?: string;
  readonly attestor?: string;
  readonly node?: string;
}

export const entryQuery: Schema<EntryQuery> = schemaOf<EntryQuery>()(
  z.strictObject({
    agent: name.exactOptional(),
    service: name.exactOptional(),
    attestor: name.exactOptional(),
    node: name.exactOptional(),
    ...PAGE_MEMBERS,
  }),
);

/** The entries by which a node lets workloads in. */
export interface OwnEntries {
  /** Another number as soon as an entry was created or removed. Pages of one listing that differ in it do not belong together. */
  readonly revision: number;
  /** In order of their ids; at most 1000. */
  readonly entries: readonly Entry[];
  /** Where the next page begins; absent on the last. */
  readonly next_after?: string;
}

export const ownEntries: Schema<OwnEntries> = schemaOf<OwnEntries>()(
  z.strictObject({
    revision: z.int().min(0),
    entries: z.array(entryMembers).max(1000),
    next_after: id.exactOptional(),
  }),
);

export interface OwnEntriesQuery {
  /** Entries with greater ids alone. */
  readonly after?: string;
}

export const ownEntriesQuery: Schema<OwnEntriesQuery> = schemaOf<OwnEntriesQuery>()(
  z.strictObject({ after: id.exactOptional() }),
);
