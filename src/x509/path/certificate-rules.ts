import { sameBytes } from '../../der/bytes.ts';
import { findExtension } from '../extension.ts';
import { AUTHORITY_INFO_ACCESS } from '../extensions/authority-info-access.ts';
import { AUTHORITY_KEY_IDENTIFIER } from '../extensions/authority-key-identifier.ts';
import { BASIC_CONSTRAINTS } from '../extensions/basic-constraints.ts';
import {
  ANY_EXTENDED_KEY_USAGE,
  CLIENT_AUTH,
  EXTENDED_KEY_USAGE,
  SERVER_AUTH,
} from '../extensions/extended-key-usage.ts';
import type { KeyUsage } from '../extensions/key-usage.ts';
import { NAME_CONSTRAINTS } from '../extensions/name-constraints.ts';
import { SUBJECT_ALT_NAME } from '../extensions/subject-alt-name.ts';
import { SUBJECT_KEY_IDENTIFIER } from '../extensions/subject-key-identifier.ts';
import { type Facts, UNDERSTOOD } from './facts.ts';
import { formatIpAddress } from './ip-address.ts';
import type { Budget } from './limits.ts';
import type { PathPolicy } from './policy.ts';
import { INHIBIT_ANY_POLICY, POLICY_CONSTRAINTS } from './policy-extensions.ts';
import { type Fault, fault, type PathReason } from './result.ts';
import { isSignedWith } from './signature.ts';

/** Where a certificate stands in the path. */
export type Role = 'leaf' | 'intermediate' | 'anchor';

/** What the leaf is to be used for; it stands for one purpose of the extended key usage. */
export type Purpose = 'server' | 'client';

/** What the rules judge by. */
export interface Standard {
  /** Milliseconds since the Unix epoch, a whole second: validity is to the second (RFC 5280 §4.1.2.5). */
  readonly at: number;
  readonly policy: PathPolicy;
  readonly purpose: Purpose | undefined;
  /** A key usage that the leaf must have, when it says anything about key usage. */
  readonly keyUsage: KeyUsage | undefined;
  readonly budget: Budget;
}

interface Rule {
  readonly reason: PathReason;
  /** Completes "the leaf …". */
  readonly detail: string;
  readonly broken: (facts: Facts, standard: Standard) => boolean;
}

const PURPOSES: Readonly<Record<Purpose, string>> = { server: SERVER_AUTH, client: CLIENT_AUTH };

const COMMON_NAME = '2.5.4.3';

const EVERY: readonly Rule[] = [
  // §4.1.2.1; extensions, which all rules below rest on, came with version 3
  rule('bad_certificate', 'is not of version 3', ({ certificate }) => certificate.version !== 3),
  // §4.1.2.4
  rule('bad_certificate', 'has no issuer name', ({ certificate }) => certificate.issuer.rdns.length === 0),
  // §4.1.2.5, §6.1.3 (a) (2): both ends count as within
  rule('not_yet_valid', 'is not valid yet', ({ certificate }, { at }) => at < certificate.notBefore),
  rule('expired', 'has expired', ({ certificate }, { at }) => at > certificate.notAfter),
  // §4.2, §6.1.4 (o), §6.1.5 (f)
  rule('critical_extension', 'has a critical extension that is not understood', ({ certificate }) =>
    certificate.extensions.some(({ oid, critical }) => critical && !UNDERSTOOD.has(oid)),
  ),
  // §4.2.1.1, §4.2.1.2, §4.2.2.1
  rule('bad_certificate', 'marks an extension critical that must not be', (facts) =>
    [AUTHORITY_KEY_IDENTIFIER, SUBJECT_KEY_IDENTIFIER, AUTHORITY_INFO_ACCESS].some((oid) => isCritical(facts, oid)),
  ),
  // §4.2.1.11, §4.2.1.14
  rule('bad_certificate', 'has policy constraints that are not critical', (facts) =>
    [POLICY_CONSTRAINTS, INHIBIT_ANY_POLICY].some((oid) => isNotCritical(facts, oid)),
  ),
  // §4.2.1.10
  rule('bad_certificate', 'has name constraints that are not critical', (facts, { policy }) => {
    return policy.nameConstraintsCritical && isNotCritical(facts, NAME_CONSTRAINTS);
  }),
  rule('bad_certificate', 'has name constraints and is no authority', (facts) => !!facts.constraints && !isCa(facts)),
  // §4.2.1.1: a self-signed certificate alone may do without
  rule('bad_certificate', 'has no authority key identifier', (facts, standard) => {
    return facts.authorityKeyIdentifier?.keyIdentifier === undefined && !isSelfSigned(facts, standard);
  }),
  // §4.2.1.3, §4.2.1.9
  rule('bad_certificate', 'may sign certificates and is no authority', (facts) => {
    return facts.keyUsage?.includes('keyCertSign') === true && !isCa(facts);
  }),
  // §4.2.1.6
  rule('bad_certificate', 'has no subject and no critical alternative name', (facts) => {
    return facts.certificate.subject.rdns.length === 0 && !isCritical(facts, SUBJECT_ALT_NAME);
  }),
  rule('bad_certificate', 'has an RSA modulus that is no whole number of octets', ({ publicKey }, { policy }) => {
    return policy.rsaWholeOctets && (publicKey.modulusBits ?? 0) % 8 !== 0;
  }),
];

/** §4.1.2.2. Not for anchors, old ones of which have the number 0: nobody looks an anchor up by its number. */
const SERIAL: readonly Rule[] = [
  rule('bad_certificate', 'has a serial number that is not positive', ({ certificate: { serial } }) => {
    return serial[0]! >= 0x80 || serial.every((octet) => octet === 0);
  }),
  rule('bad_certificate', 'has a serial number above 20 octets', ({ certificate }) => certificate.serial.length > 20),
];

const AUTHORITY: readonly Rule[] = [
  // §4.2.1.9, §6.1.4 (k)
  rule('not_an_authority', 'is no authority', (facts) => !isCa(facts)),
  rule('bad_certificate', 'has basic constraints that are not critical', (facts) =>
    isNotCritical(facts, BASIC_CONSTRAINTS),
  ),
  // §4.2.1.3, §6.1.4 (n)
  rule('key_usage', 'may not sign certificates', ({ keyUsage }) => keyUsage?.includes('keyCertSign') === false),
  // §4.1.2.6
  rule('bad_certificate', 'is an authority without a name', ({ certificate }) => certificate.subject.rdns.length === 0),
  // §4.2.1.2
  rule('bad_certificate', 'is an authority without subject key identifier', (facts) => !facts.subjectKeyIdentifier),
];

const INTERMEDIATE: readonly Rule[] = [
  rule('purpose', 'is an authority for other purposes', ({ extendedKeyUsage }, { policy, purpose }) => {
    return policy.usageChained && !servesPurpose(extendedKeyUsage, purpose);
  }),
];

const ANCHOR: readonly Rule[] = [
  rule('bad_certificate', 'is a root with an authority key identifier that is not its own', (facts, { policy }) => {
    const { authorityKeyIdentifier: aki, subjectKeyIdentifier: ski } = facts;
    if (!policy.rootProfile || !facts.selfIssued || aki === undefined) return false;
    const same = aki.keyIdentifier !== undefined && ski !== undefined && sameBytes(aki.keyIdentifier, ski);
    return !same || aki.issuer !== undefined || aki.serial !== undefined;
  }),
  rule('bad_certificate', 'is a root with an extended key usage', ({ selfIssued, extendedKeyUsage }, { policy }) => {
    return policy.rootProfile && selfIssued && extendedKeyUsage !== undefined;
  }),
];

const LEAF: readonly Rule[] = [
  rule('bad_certificate', 'is an authority', (facts, { policy }) => !policy.leafMayBeAuthority && isCa(facts)),
  // §4.2.1.12
  rule(
    'purpose',
    'is for other purposes',
    ({ extendedKeyUsage }, { purpose }) => !servesPurpose(extendedKeyUsage, purpose),
  ),
  rule('purpose', 'does not name its purposes as the policy demands', (facts, { policy }) => {
    const usage = facts.extendedKeyUsage;
    if (!policy.leafUsageRequired) return false;
    return !usage || usage.includes(ANY_EXTENDED_KEY_USAGE) || isCritical(facts, EXTENDED_KEY_USAGE);
  }),
  // §4.2.1.3
  rule('key_usage', 'has a key usage that does not allow this', (facts, { keyUsage }) => {
    return keyUsage !== undefined && facts.keyUsage?.includes(keyUsage) === false;
  }),
  rule('bad_certificate', 'has a subject and a critical alternative name', (facts, { policy }) => {
    if (!policy.alternativeNameCriticalOnlyWithoutSubject) return false;
    return facts.certificate.subject.rdns.length > 0 && isCritical(facts, SUBJECT_ALT_NAME);
  }),
  rule('bad_certificate', 'has a common name that is none of its alternative names', (facts, { policy }) => {
    return policy.commonNameIsAlternativeName && !commonNamesRepeat(facts);
  }),
];

const RULES: Readonly<Record<Role, readonly Rule[]>> = {
  leaf: [...EVERY, ...SERIAL, ...LEAF],
  intermediate: [...EVERY, ...SERIAL, ...AUTHORITY, ...INTERMEDIATE],
  anchor: [...EVERY, ...AUTHORITY, ...ANCHOR],
};

/** The first rule that a certificate breaks by itself, whatever the path around it; undefined when none. */
export function certificateFault(facts: Facts, role: Role, standard: Standard): Fault | undefined {
  const broken = RULES[role].find((each) => each.broken(facts, standard));
  return broken && fault(broken.reason, broken.detail);
}

function rule(reason: PathReason, detail: string, broken: Rule['broken']): Rule {
  return { reason, detail, broken };
}

function isCa(facts: Facts): boolean {
  return facts.basicConstraints?.ca === true;
}

function isCritical({ certificate }: Facts, oid: string): boolean {
  return findExtension(certificate.extensions, oid)?.critical === true;
}

function isNotCritical({ certificate }: Facts, oid: string): boolean {
  return findExtension(certificate.extensions, oid)?.critical === false;
}

/** Signed with the very key that it certifies; whose name stands as issuer makes no difference to that. */
function isSelfSigned({ certificate, publicKey }: Facts, { budget }: Standard): boolean {
  return isSignedWith(publicKey, certificate, budget);
}

function servesPurpose(usage: readonly string[] | undefined, purpose: Purpose | undefined): boolean {
  if (usage === undefined || purpose === undefined) return true;
  return usage.includes(PURPOSES[purpose]) || usage.includes(ANY_EXTENDED_KEY_USAGE);
}

/** Each common name repeats an alternative name to the character; addresses in their one canonical text. */
function commonNamesRepeat({ certificate, alternativeNames = [] }: Facts): boolean {
  const texts = new Set<string>();
  for (const name of alternativeNames) {
    if (name.kind === 'dns') texts.add(name.value);
    if (name.kind === 'ip') texts.add(formatIpAddress(name.value));
  }
  const attributes = certificate.subject.rdns.flat();
  return attributes.every(({ type, text }) => type !== COMMON_NAME || (text !== undefined && texts.has(text)));
}
