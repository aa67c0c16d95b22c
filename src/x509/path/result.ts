import type { Certificate } from '../certificate.ts';

/** Why no path was accepted. Callers switch on this; the detail beside it is for people. */
export type PathReason =
  /** No chain of certificates leads to a trust anchor. */
  | 'no_trusted_issuer'
  /** A certificate is malformed or breaks the profile of RFC 5280 §4 or of the policy. */
  | 'bad_certificate'
  | 'not_yet_valid'
  | 'expired'
  | 'bad_signature'
  /** A certificate stands where only an authority may, or its key usage does not let it do what is asked. */
  | 'not_an_authority'
  | 'key_usage'
  | 'purpose'
  | 'path_too_long'
  | 'name_constraint'
  | 'certificate_policy'
  | 'critical_extension'
  | 'revoked'
  /** A CRL of the issuer was given and cannot be relied on. */
  | 'revocation_unknown'
  | 'wrong_name'
  /** Deciding would take more work than a stranger is given. */
  | 'too_complex';

/** A rule that did not hold. `detail` completes a sentence about one certificate and holds none of its contents. */
export interface Fault {
  readonly reason: PathReason;
  readonly detail: string;
}

export type PathResult =
  | {
      readonly valid: true;
      /** Leaf first, trust anchor last. */
      readonly path: readonly Certificate[];
    }
  | { readonly valid: false; readonly reason: PathReason; readonly detail: string };

export function fault(reason: PathReason, detail: string): Fault {
  return { reason, detail };
}

/** How errors call the certificate so many steps above the leaf. */
export function position(depth: number): string {
  return depth === 0 ? 'the leaf' : `certificate ${depth} above the leaf`;
}
