import type { Clock } from '../base/clock.ts';
import type { Challenge, CreateChallenge } from '../wire/attestation.ts';

/**
 * What a verifier of evidence is. Each kind is one file of `verifier/` that exports a `Verifier`; `attestor/kinds.ts` names
 * them all, and whoever asks for an identity learns nothing of which it was that refused.
 */

/**
 * What evidence proves, by name, e.g. `oidc:sub`, `k8s:namespace`, `unix:uid`. A name has a prefix that says who vouches
 * for it (`docs/ATTESTATION.md` lists all); several values mean that each of them holds.
 */
export type EvidenceFacts = Readonly<Record<string, readonly string[]>>;

/** Why evidence was not believed. For the ledger alone: whoever presented it is told one wording. Never changes. */
export type EvidenceFault =
  /** There is no attestor of that name, or it is of another kind. */
  | 'unknown-attestor'
  /** Not what such evidence looks like, or more than it may hold. */
  | 'malformed'
  | 'wrong-issuer'
  | 'wrong-audience'
  /** The algorithm is none that the kind allows. */
  | 'wrong-algorithm'
  /** Signed by a key that the issuer does not publish. */
  | 'unknown-key'
  | 'bad-signature'
  /** The certificates lead to none of the roots, or are not valid for this. */
  | 'untrusted-chain'
  /** The proof was made with another key than the one that the evidence is about. */
  | 'wrong-key'
  | 'expired'
  | 'not-yet-valid'
  /** Made longer ago than the attestor takes. */
  | 'too-old'
  /** The challenge is none of this server's, or for another attestor. */
  | 'bad-challenge'
  | 'challenge-expired'
  /** Good for one enrolment, and used. */
  | 'spent'
  /** Genuine, and not of an account, project, tenant, machine … that the attestor admits. */
  | 'not-admitted'
  /** The issuer's own service says that it is not, or no more, valid. */
  | 'not-authenticated'
  /** The issuer's keys or its service could not be reached. */
  | 'unreachable'
  /** Believed, and no registration entry names it. */
  | 'no-entry'
  /** Believed, and entries of several agents or services name it, of which its bearer chose none. */
  | 'ambiguous';

export type Verified =
  | {
      readonly accepted: true;
      readonly facts: EvidenceFacts;
      /** Which evidence it was, by something that is no secret and that a person knows it by; at most 255 characters. */
      readonly reference: string;
      /** What was proven ends then, and with it every certificate. Milliseconds. Not the `exp` of a token that only proves who asks. */
      readonly expiresAt?: number;
      /** Good for one enrolment: SHA-256 of what may not come twice, kept until `until` (milliseconds). */
      readonly once?: { readonly digest: Uint8Array; readonly until: number };
    }
  | { readonly accepted: false; readonly fault: EvidenceFault };

/**
 * One kind of evidence. `E` is the evidence as the door parsed it (`wire/attestation.ts`), `P` what `parse` makes of the
 * attestor's parameters.
 */
export interface Verifier<E, P> {
  /**
   * Makes of an attestor's parameters (`wire/attestor.ts`) what `verify` takes. Called when the attestor is added and again
   * when it is read from the database. Throws `bad_request` or `bad_certificate` with the field as a JSON pointer.
   */
  readonly parse: (parameters: never) => P;
  /** Never throws for what the bearer sent, nor for an issuer that does not answer. */
  readonly verify: (evidence: E, parameters: P, parts: VerifierParts) => Promise<Verified>;
  /**
   * What else goes with a challenge, where the kind has more than something to sign. `derive` makes 32 octets of what is
   * given that this server alone can make, the same each time. Undefined: what was asked for cannot be challenged.
   */
  readonly challenge?: (
    request: CreateChallenge,
    parameters: P,
    parts: { readonly challenge: string; readonly derive: (...of: readonly Uint8Array[]) => Uint8Array },
  ) => Pick<Challenge, 'credential_blob' | 'encrypted_secret'> | undefined;
}

export interface VerifierParts {
  readonly clock: Clock;
  readonly fetch: EvidenceFetch;
  /** Name of the attestor: what a challenge is bound to. */
  readonly attestor: string;
  /** DER of the SubjectPublicKeyInfo of the CSR that came with the evidence: a proof may be bound to it. */
  readonly spki: Uint8Array;
  /**
   * Whether a challenge is one that this server made for this attestor; its random octets, and until when it counts
   * (milliseconds).
   */
  readonly challenge: (
    text: string,
  ) =>
    | { readonly good: true; readonly nonce: Uint8Array; readonly until: number }
    | { readonly good: false; readonly fault: 'bad-challenge' | 'challenge-expired' };
  /** As for `Verifier.challenge`. */
  readonly derive: (...of: readonly Uint8Array[]) => Uint8Array;
}

/**
 * Asks an issuer: HTTPS alone, no redirect, an answer of bounded size within bounded time. Never throws. `ca`: PEM of the
 * roots to trust in place of the system's.
 */
export type EvidenceFetch = (
  url: string,
  options?: {
    readonly method?: 'GET' | 'POST';
    readonly headers?: Readonly<Record<string, string>>;
    readonly body?: string;
    readonly ca?: readonly string[];
  },
) => Promise<FetchedEvidence>;

export type FetchedEvidence =
  | { readonly reached: true; readonly status: number; readonly body: Uint8Array; readonly maxAge?: number }
  | { readonly reached: false };
