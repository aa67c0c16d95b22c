/**
 * What a path must satisfy beyond RFC 5280 §6, as plain data. Each field is one rule; the two policies below differ
 * only in these values, and a caller may spread one of them and change a field.
 */
export interface PathPolicy {
  readonly name: string;
  /** RFC 5280 §4.2.1.10: the name constraints extension MUST be critical. BR §7.1.2.5.2 lets authorities do otherwise. */
  readonly nameConstraintsCritical: boolean;
  /** May the certificate in question itself have cA = TRUE? RFC 5280 says nothing; BR §7.1.2.7.8 forbids it. */
  readonly leafMayBeAuthority: boolean;
  /** BR §7.1.2.7.6 and .10: the leaf must have an extended key usage, not critical, without anyExtendedKeyUsage. */
  readonly leafUsageRequired: boolean;
  /** An intermediate with an extended key usage confines what is below it to those purposes (BR §7.1.2.2.3). */
  readonly usageChained: boolean;
  /** Does `*.example.com` stand for `www.example.com`? RFC 9525 §6.3 leaves it to the application. */
  readonly wildcards: boolean;
  /** BR §7.1.4.3: a common name of the leaf must be, to the character, one of its alternative names. */
  readonly commonNameIsAlternativeName: boolean;
  /** BR §7.1.2.7.12: the leaf's alternative names are critical exactly when its subject is empty. */
  readonly alternativeNameCriticalOnlyWithoutSubject: boolean;
  /** BR §7.1.2.1: a root's extensions: an authority key identifier repeats its own and nothing else, no key purposes. */
  readonly rootProfile: boolean;
  /** BR §6.1.5: the bits of an RSA modulus are a multiple of 8. */
  readonly rsaWholeOctets: boolean;
}

/** RFC 5280's own profile. What Writ's certificates are judged by. */
export const RFC5280: PathPolicy = {
  name: 'rfc5280',
  nameConstraintsCritical: true,
  leafMayBeAuthority: true,
  leafUsageRequired: false,
  usageChained: false,
  wildcards: true,
  commonNameIsAlternativeName: false,
  alternativeNameCriticalOnlyWithoutSubject: false,
  rootProfile: false,
  rsaWholeOctets: false,
};

/**
 * RFC 5280 with the rules of the CA/Browser Forum's Baseline Requirements (BR) for public servers. Wildcards stand for
 * nothing here: telling `*.example.com` from `*.co.uk` takes the Public Suffix List, which ages as a copy, and
 * a wildcard too many is worse than one too few.
 */
export const WEBPKI: PathPolicy = {
  name: 'webpki',
  nameConstraintsCritical: false,
  leafMayBeAuthority: false,
  leafUsageRequired: true,
  usageChained: true,
  wildcards: false,
  commonNameIsAlternativeName: true,
  alternativeNameCriticalOnlyWithoutSubject: true,
  rootProfile: true,
  rsaWholeOctets: true,
};
