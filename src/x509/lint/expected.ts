import type { TrustDomain } from '../../spiffe-id/trust-domain.ts';
import type { Certificate } from '../certificate.ts';
import { findExtension } from '../extension.ts';
import { BASIC_CONSTRAINTS, type BasicConstraints, decodeBasicConstraints } from '../extensions/basic-constraints.ts';
import { decodeNameConstraints, NAME_CONSTRAINTS } from '../extensions/name-constraints.ts';
import { decodeSubjectKeyIdentifier, SUBJECT_KEY_IDENTIFIER } from '../extensions/subject-key-identifier.ts';
import { type Constraints, readConstraints } from '../path/name-constraints.ts';
import { type PublicKey, type PublicKeyAlgorithm, parsePublicKey } from '../public-key.ts';
import type { Seen } from './decoded.ts';

/** What the profile of a certificate lets it be. */
export interface ExpectedProfile {
  readonly kind: 'leaf' | 'authority';
  readonly trustDomain: TrustDomain;
  /** Kinds of subject key that the profile takes. */
  readonly keys: readonly PublicKeyAlgorithm[];
  /** Longest time from notBefore to notAfter, in milliseconds, the allowance for slow clocks included. */
  readonly maxValidity: number;
  /** Key purposes as dotted text, in any order; empty: the extension is absent. */
  readonly purposes: readonly string[];
  /** For leaves: how their end becomes known before their expiry; undefined: no rule about it. */
  readonly revocation?: 'revocable' | 'ephemeral';
  /** For authorities: the pathLenConstraint; undefined: it is absent. */
  readonly pathLength?: number;
}

/** What lints need of the certificate that signs, decoded once for all that it signs. */
export interface LintIssuer {
  readonly certificate: Certificate;
  readonly publicKey: PublicKey;
  /** Undefined in a foreign authority that lacks it. */
  readonly keyIdentifier: Uint8Array | undefined;
  readonly basicConstraints: BasicConstraints | undefined;
  readonly constraints: Constraints | undefined;
  /** What lints remember from one certificate to the next. */
  readonly seen: Seen;
}

/** Throws `bad_der` or `bad_certificate` when an extension of the issuer cannot be understood. */
export function lintIssuer(certificate: Certificate): LintIssuer {
  const decode = <T>(oid: string, decoder: (value: Uint8Array) => T): T | undefined => {
    const extension = findExtension(certificate.extensions, oid);
    return extension && decoder(extension.value);
  };
  return {
    certificate,
    publicKey: parsePublicKey(certificate.spki),
    keyIdentifier: decode(SUBJECT_KEY_IDENTIFIER, decodeSubjectKeyIdentifier),
    basicConstraints: decode(BASIC_CONSTRAINTS, decodeBasicConstraints),
    constraints: decode(NAME_CONSTRAINTS, (value) => readConstraints(decodeNameConstraints(value))),
    seen: { common: [], said: new WeakMap() },
  };
}
