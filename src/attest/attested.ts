import type { Facts } from '../base/access.ts';
import type { Batch } from '../db/batch.ts';
import type { EvidenceFacts, EvidenceFault } from './evidence.ts';

/** What evidence proves: as what its bearer is let in, and for how long that holds. Enrolment knows no kind of evidence. */
export interface Attested {
  /** Kind of the evidence, e.g. `join-token`; stands in the instance's row and in the ledger. Never changes. */
  readonly kind: string;
  /** Name of the agent or service as whose instance the bearer is let in. */
  readonly agent: string;
  /** Which evidence it was, by something that is no secret, e.g. the token's id. */
  readonly reference: string;
  /** What was proven ends then, and with it every certificate of the instance. Milliseconds. */
  readonly expiresAt?: number;
  /** The instance that let it in. */
  readonly parent?: string;
  /** What its certificates say that it is for. */
  readonly workflow?: string;
  readonly scopes: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  /** For rules, beside those of the certificate that is asked for. Names are those of `instance.enrol`. */
  readonly facts: Facts;
  /** The registration entry that it was let in by. */
  readonly entry?: string;
  /** Of the evidence itself: who vouches for it, and what it says. Kept, and told to rules as `facts`. */
  readonly evidence?: KeptEvidence;
  /** Its certificates live as long at most. */
  readonly longestSeconds?: number;
  /**
   * Pushes into the batch that enrols `instance` what must hold when it commits, and that the evidence was used: checks,
   * writes, an event. A check that fails refuses the enrolment with `token_refused` or `evidence_refused`.
   */
  record(batch: Batch, instance: string): void;
}

interface KeptEvidence {
  readonly attestor?: string;
  /** SHA-256 of the evidence as it came. */
  readonly digest: Uint8Array;
  readonly facts: EvidenceFacts;
}

/** The answer to evidence. Why it was not believed is for the ledger alone. */
export type Attestation = { readonly accepted: true; readonly attested: Attested } | RefusedToken | RefusedEvidence;

/** Its bearer is told `token_refused`. */
export interface RefusedToken {
  readonly accepted: false;
  readonly fault: 'unknown' | 'spent' | 'revoked' | 'expired' | 'parent-stopped';
  /** Set where the bearer has proven to hold what once was good evidence. */
  readonly reference?: string;
}

/** Its bearer is told `evidence_refused`. */
export interface RefusedEvidence {
  readonly accepted: false;
  readonly kind: string;
  readonly fault: EvidenceFault;
  /** Name of the attestor, where there is one of that name and kind. */
  readonly attestor?: string;
  /** What was proven all the same: set where the attestor vouches for it. */
  readonly facts?: EvidenceFacts;
}
