import type { Labels } from '../token/store.ts';

/** Who vouches for the facts: an attestor by name, or the instances of a service that run `writ agent`. */
export type EntrySource = { readonly attestor: string } | { readonly node: string };

/** What must be attested, and as which agent or service the bearer is let in. Never changes; is created and removed. */
export interface RegistrationEntry {
  readonly id: string;
  readonly source: EntrySource;
  /** Name of the agent or service. */
  readonly agent: string;
  /** `name=value` each, in order; all must hold. A value may end in `*`. */
  readonly match: readonly string[];
  readonly hint?: string;
  readonly workflow?: string;
  readonly scopes: readonly string[];
  readonly labels: Labels;
  /** Certificates live as long at most. */
  readonly lifetimeSeconds?: number;
  /** Names of trust domains. */
  readonly federatesWith: readonly string[];
  /** Of what a node sees: each process is an instance of its own, or all that match share one. */
  readonly per: 'process' | 'node';
  /** Milliseconds. */
  readonly createdAt: number;
  /** Caller id. */
  readonly createdBy: string;
}
