import type { Certificate } from '../certificate.ts';
import { findExtension } from '../extension.ts';
import { AUTHORITY_INFO_ACCESS, decodeAuthorityInfoAccess } from '../extensions/authority-info-access.ts';
import {
  AUTHORITY_KEY_IDENTIFIER,
  type AuthorityKeyIdentifier,
  decodeAuthorityKeyIdentifier,
} from '../extensions/authority-key-identifier.ts';
import { BASIC_CONSTRAINTS, type BasicConstraints, decodeBasicConstraints } from '../extensions/basic-constraints.ts';
import { CERTIFICATE_POLICIES, decodeCertificatePolicies } from '../extensions/certificate-policies.ts';
import {
  CRL_DISTRIBUTION_POINTS,
  type DistributionPoint,
  decodeCrlDistributionPoints,
} from '../extensions/crl-distribution-points.ts';
import { decodeExtendedKeyUsage, EXTENDED_KEY_USAGE } from '../extensions/extended-key-usage.ts';
import { decodeKeyUsage, KEY_USAGE, type KeyUsage } from '../extensions/key-usage.ts';
import { decodeNameConstraints, NAME_CONSTRAINTS } from '../extensions/name-constraints.ts';
import { decodeSubjectAltName, SUBJECT_ALT_NAME } from '../extensions/subject-alt-name.ts';
import { decodeSubjectKeyIdentifier, SUBJECT_KEY_IDENTIFIER } from '../extensions/subject-key-identifier.ts';
import type { GeneralName } from '../general-name.ts';
import { matchingRdns, type Name } from '../name.ts';
import { type PublicKey, parsePublicKey } from '../public-key.ts';
import type { PolicyFacts } from './certificate-policies.ts';
import { type Constraints, constrainedNames, readConstraints } from './name-constraints.ts';
import {
  decodeInhibitAnyPolicy,
  decodePolicyConstraints,
  decodePolicyMappings,
  INHIBIT_ANY_POLICY,
  POLICY_CONSTRAINTS,
  POLICY_MAPPINGS,
} from './policy-extensions.ts';
import type { ConstrainedName } from './subtree.ts';

/** A certificate with every extension decoded that validation knows. Absent extensions are undefined. */
export interface Facts {
  readonly certificate: Certificate;
  readonly publicKey: PublicKey;
  /** Issuer and subject have the same name (RFC 5280 §3.2). */
  readonly selfIssued: boolean;
  readonly basicConstraints: BasicConstraints | undefined;
  readonly keyUsage: readonly KeyUsage[] | undefined;
  readonly extendedKeyUsage: readonly string[] | undefined;
  readonly alternativeNames: readonly GeneralName[] | undefined;
  readonly subjectKeyIdentifier: Uint8Array | undefined;
  readonly authorityKeyIdentifier: AuthorityKeyIdentifier | undefined;
  readonly distributionPoints: readonly DistributionPoint[] | undefined;
  readonly names: readonly ConstrainedName[];
  readonly constraints: Constraints | undefined;
  readonly policies: PolicyFacts;
}

/** The extensions that are understood, and so may be critical (RFC 5280 §4.2). */
export const UNDERSTOOD: ReadonlySet<string> = new Set([
  AUTHORITY_INFO_ACCESS,
  AUTHORITY_KEY_IDENTIFIER,
  BASIC_CONSTRAINTS,
  CERTIFICATE_POLICIES,
  CRL_DISTRIBUTION_POINTS,
  EXTENDED_KEY_USAGE,
  INHIBIT_ANY_POLICY,
  KEY_USAGE,
  NAME_CONSTRAINTS,
  POLICY_CONSTRAINTS,
  POLICY_MAPPINGS,
  SUBJECT_ALT_NAME,
  SUBJECT_KEY_IDENTIFIER,
]);

/**
 * Decodes the key and the extensions. Throws `bad_der`, `bad_certificate` or `too_large` for what is malformed, also
 * where nothing depends on it: a certificate that is broken in one place is not trusted in another.
 */
export function readFacts(certificate: Certificate): Facts {
  const decode = <T>(oid: string, decoder: (value: Uint8Array) => T): T | undefined => {
    const extension = findExtension(certificate.extensions, oid);
    return extension && decoder(extension.value);
  };
  decode(AUTHORITY_INFO_ACCESS, decodeAuthorityInfoAccess);
  const alternativeNames = decode(SUBJECT_ALT_NAME, decodeSubjectAltName);
  const selfIssued = nameKey(certificate.subject) === nameKey(certificate.issuer);
  const policyConstraints = decode(POLICY_CONSTRAINTS, decodePolicyConstraints);
  return {
    certificate,
    publicKey: parsePublicKey(certificate.spki),
    selfIssued,
    basicConstraints: decode(BASIC_CONSTRAINTS, decodeBasicConstraints),
    keyUsage: decode(KEY_USAGE, decodeKeyUsage),
    extendedKeyUsage: decode(EXTENDED_KEY_USAGE, decodeExtendedKeyUsage),
    alternativeNames,
    subjectKeyIdentifier: decode(SUBJECT_KEY_IDENTIFIER, decodeSubjectKeyIdentifier),
    authorityKeyIdentifier: decode(AUTHORITY_KEY_IDENTIFIER, decodeAuthorityKeyIdentifier),
    distributionPoints: decode(CRL_DISTRIBUTION_POINTS, decodeCrlDistributionPoints),
    names: constrainedNames(certificate.subject, alternativeNames ?? []),
    constraints: decode(NAME_CONSTRAINTS, (value) => readConstraints(decodeNameConstraints(value))),
    policies: {
      policies: decode(CERTIFICATE_POLICIES, decodeCertificatePolicies)?.map(({ policy }) => policy),
      mappings: decode(POLICY_MAPPINGS, decodePolicyMappings),
      requireExplicitPolicy: policyConstraints?.requireExplicitPolicy,
      inhibitPolicyMapping: policyConstraints?.inhibitPolicyMapping,
      inhibitAnyPolicy: decode(INHIBIT_ANY_POLICY, decodeInhibitAnyPolicy),
      selfIssued,
    },
  };
}

/** A text that is equal exactly for names that match (RFC 5280 §7.1). */
export function nameKey(name: Name): string {
  return JSON.stringify(matchingRdns(name));
}
