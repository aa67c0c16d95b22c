import type { Facts } from '../base/access.ts';
import type { Batch } from '../db/batch.ts';

/**
 * What evidence proves: as what its bearer is let in, and for how long that holds.
 *
 * Each kind of evidence is one file of this folder, which exports one function from the evidence as the door parsed it to
 * an `Attestation`. Enrolment knows no kind: it takes what is here.
 */
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
  /**
   * Pushes into the batch that enrols `instance` what must hold when it commits, and that the evidence was used: checks,
   * writes, an event. A check that fails refuses the enrolment with `token_refused`.
   */
  record(batch: Batch, instance: string): void;
}

/** The answer to evidence. Why it was not believed is for the ledger alone: its bearer is told `token_refused`. */
export type Attestation =
  | { readonly accepted: true; readonly attested: Attested }
  | {
      readonly accepted: false;
      readonly fault: 'unknown' | 'spent' | 'revoked' | 'expired' | 'parent-stopped';
      /** Set where the bearer has proven to hold what once was good evidence. */
      readonly reference?: string;
    };
