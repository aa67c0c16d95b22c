import { isWritError } from '../base/error.ts';
import { parseTbsCertificate } from './certificate.ts';
import { agentContext } from './lint/agent-context.ts';
import { authorityKeyIdentifier } from './lint/authority-key-identifier.ts';
import { authoritySerial } from './lint/authority-serial.ts';
import { basicConstraintsOfAuthority } from './lint/basic-constraints-of-authority.ts';
import { basicConstraintsOfLeaf } from './lint/basic-constraints-of-leaf.ts';
import { certificatePolicies } from './lint/certificate-policies.ts';
import { criticality } from './lint/criticality.ts';
import { decodeAll } from './lint/decoded.ts';
import { distinctNames } from './lint/distinct-names.ts';
import { dnsNames } from './lint/dns-names.ts';
import type { ExpectedProfile, LintIssuer } from './lint/expected.ts';
import { extendedKeyUsage } from './lint/extended-key-usage.ts';
import { extendedKeyUsageOfSvid } from './lint/extended-key-usage-of-svid.ts';
import { issuerName } from './lint/issuer-name.ts';
import { keyUsageOfAuthority } from './lint/key-usage-of-authority.ts';
import { keyUsageOfKey } from './lint/key-usage-of-key.ts';
import { keyUsageOfLeaf } from './lint/key-usage-of-leaf.ts';
import { knownExtensions } from './lint/known-extensions.ts';
import type { Lint } from './lint/lint.ts';
import { nameConstraintsOfAuthority } from './lint/name-constraints-of-authority.ts';
import { nameConstraintsOfLeaf } from './lint/name-constraints-of-leaf.ts';
import { nameForms } from './lint/name-forms.ts';
import { namesPermitted } from './lint/names-permitted.ts';
import { noRevAvail } from './lint/no-rev-avail.ts';
import { ocspResponder } from './lint/ocsp-responder.ts';
import { ownKey } from './lint/own-key.ts';
import { pathLength } from './lint/path-length.ts';
import { publicKey } from './lint/public-key.ts';
import { revocationMode } from './lint/revocation-mode.ts';
import { revocationPointers } from './lint/revocation-pointers.ts';
import { serialEntropy } from './lint/serial-entropy.ts';
import { serialNumber } from './lint/serial-number.ts';
import { signatureAlgorithm } from './lint/signature-algorithm.ts';
import { singleUri } from './lint/single-uri.ts';
import { spiffeIdOfAuthority } from './lint/spiffe-id-of-authority.ts';
import { spiffeIdOfLeaf } from './lint/spiffe-id-of-leaf.ts';
import { subjectAltNameCritical } from './lint/subject-alt-name-critical.ts';
import { subjectKeyIdentifier } from './lint/subject-key-identifier.ts';
import { subjectLengths } from './lint/subject-lengths.ts';
import { subjectOfAuthority } from './lint/subject-of-authority.ts';
import { subjectOfLeaf } from './lint/subject-of-leaf.ts';
import { uniqueIdentifiers } from './lint/unique-identifiers.ts';
import { validityLength } from './lint/validity-length.ts';
import { validityOrder } from './lint/validity-order.ts';
import { validityWithinIssuer } from './lint/validity-within-issuer.ts';
import { version } from './lint/version.ts';

/** All lints, in the order in which their findings are listed. */
export const LINTS: readonly Lint[] = [
  agentContext,
  authorityKeyIdentifier,
  authoritySerial,
  basicConstraintsOfAuthority,
  basicConstraintsOfLeaf,
  certificatePolicies,
  criticality,
  distinctNames,
  dnsNames,
  extendedKeyUsageOfSvid,
  extendedKeyUsage,
  issuerName,
  keyUsageOfAuthority,
  keyUsageOfKey,
  keyUsageOfLeaf,
  knownExtensions,
  nameConstraintsOfAuthority,
  nameConstraintsOfLeaf,
  nameForms,
  namesPermitted,
  noRevAvail,
  ocspResponder,
  ownKey,
  pathLength,
  publicKey,
  revocationMode,
  revocationPointers,
  serialEntropy,
  serialNumber,
  signatureAlgorithm,
  singleUri,
  spiffeIdOfAuthority,
  spiffeIdOfLeaf,
  subjectAltNameCritical,
  subjectKeyIdentifier,
  subjectLengths,
  subjectOfAuthority,
  subjectOfLeaf,
  uniqueIdentifiers,
  validityLength,
  validityOrder,
  validityWithinIssuer,
  version,
];

const ABOUT: Readonly<Record<ExpectedProfile['kind'], readonly Lint[]>> = {
  leaf: LINTS.filter(({ about }) => about !== 'authority'),
  authority: LINTS.filter(({ about }) => about !== 'leaf'),
};

/** One clause that a certificate breaks. */
export interface Finding {
  readonly lint: string;
  readonly clause: string;
  /** A sentence: "The certificate …". */
  readonly fault: string;
}

/**
 * Holds a to-be-signed certificate against every lint, before the key is touched; none found means that it may be
 * signed. What is signed is what is looked at: the bytes are parsed anew, strictly.
 *
 * `issuer` is what `lintIssuer` made of the certificate that signs, or undefined for a self-signed root.
 */
export function lintCertificate(tbs: Uint8Array, issuer: LintIssuer | undefined, expected: ExpectedProfile): Finding[] {
  try {
    const known = issuer && { issuer: issuer.certificate.subject, extensions: issuer.seen.common };
    const parsed = parseTbsCertificate(tbs, known);
    const input = { tbs: parsed, decoded: decodeAll(parsed, issuer?.seen), issuer, expected };
    const findings: Finding[] = [];
    for (const { name, clause, check } of ABOUT[expected.kind]) {
      const fault = check(input);
      if (fault !== undefined) findings.push({ lint: name, clause, fault: `The certificate ${fault}.` });
    }
    return findings;
  } catch (error) {
    if (!isWritError(error)) throw error;
    return [{ lint: 'well_formed', clause: 'RFC 5280 §4.1', fault: `The certificate is malformed: ${error.message}.` }];
  }
}
