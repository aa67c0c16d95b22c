import type { TbsCertificate } from '../certificate.ts';
import type { Extension } from '../extension.ts';
import { AGENT_CONTEXT, type AgentContext, decodeAgentContext } from '../extensions/agent-context.ts';
import {
  type AccessDescription,
  AUTHORITY_INFO_ACCESS,
  decodeAuthorityInfoAccess,
} from '../extensions/authority-info-access.ts';
import {
  AUTHORITY_KEY_IDENTIFIER,
  type AuthorityKeyIdentifier,
  decodeAuthorityKeyIdentifier,
} from '../extensions/authority-key-identifier.ts';
import { BASIC_CONSTRAINTS, type BasicConstraints, decodeBasicConstraints } from '../extensions/basic-constraints.ts';
import {
  CERTIFICATE_POLICIES,
  decodeCertificatePolicies,
  type PolicyInformation,
} from '../extensions/certificate-policies.ts';
import {
  CRL_DISTRIBUTION_POINTS,
  type DistributionPoint,
  decodeCrlDistributionPoints,
} from '../extensions/crl-distribution-points.ts';
import { decodeExtendedKeyUsage, EXTENDED_KEY_USAGE } from '../extensions/extended-key-usage.ts';
import { decodeKeyUsage, KEY_USAGE, type KeyUsage } from '../extensions/key-usage.ts';
import { decodeNameConstraints, NAME_CONSTRAINTS, type NameConstraints } from '../extensions/name-constraints.ts';
import { checkNoRevAvail, NO_REV_AVAIL } from '../extensions/no-rev-avail.ts';
import { decodeSubjectAltName, SUBJECT_ALT_NAME } from '../extensions/subject-alt-name.ts';
import { decodeSubjectKeyIdentifier, SUBJECT_KEY_IDENTIFIER } from '../extensions/subject-key-identifier.ts';
import type { GeneralName } from '../general-name.ts';
import { type PublicKey, parsePublicKey } from '../public-key.ts';

/** The key and the extensions of a certificate, decoded; absent ones are undefined. */
export interface Decoded {
  readonly publicKey: PublicKey;
  basicConstraints?: BasicConstraints;
  keyUsage?: readonly KeyUsage[];
  purposes?: readonly string[];
  /** Empty when the SAN is absent. */
  names: readonly GeneralName[];
  nameConstraints?: NameConstraints;
  subjectKeyIdentifier?: Uint8Array;
  authorityKeyIdentifier?: AuthorityKeyIdentifier;
  distributionPoints?: readonly DistributionPoint[];
  access?: readonly AccessDescription[];
  policies?: readonly PolicyInformation[];
  noRevAvail: boolean;
  context?: AgentContext;
  /** Extensions of no kind that a profile uses. */
  unknown: Extension[];
}

/** Decodes key and extensions. Throws `bad_der` or `bad_certificate` when one of them is malformed. */
export function decodeAll(tbs: TbsCertificate): Decoded {
  const decoded: Decoded = { publicKey: parsePublicKey(tbs.spki), names: [], noRevAvail: false, unknown: [] };
  for (const extension of tbs.extensions) decodeOne(decoded, extension);
  return decoded;
}

function decodeOne(decoded: Decoded, extension: Extension): void {
  const { value } = extension;
  switch (extension.oid) {
    case BASIC_CONSTRAINTS:
      decoded.basicConstraints = decodeBasicConstraints(value);
      break;
    case KEY_USAGE:
      decoded.keyUsage = decodeKeyUsage(value);
      break;
    case EXTENDED_KEY_USAGE:
      decoded.purposes = decodeExtendedKeyUsage(value);
      break;
    case SUBJECT_ALT_NAME:
      decoded.names = decodeSubjectAltName(value);
      break;
    case NAME_CONSTRAINTS:
      decoded.nameConstraints = decodeNameConstraints(value);
      break;
    case SUBJECT_KEY_IDENTIFIER:
      decoded.subjectKeyIdentifier = decodeSubjectKeyIdentifier(value);
      break;
    case AUTHORITY_KEY_IDENTIFIER:
      decoded.authorityKeyIdentifier = decodeAuthorityKeyIdentifier(value);
      break;
    case CRL_DISTRIBUTION_POINTS:
      decoded.distributionPoints = decodeCrlDistributionPoints(value);
      break;
    case AUTHORITY_INFO_ACCESS:
      decoded.access = decodeAuthorityInfoAccess(value);
      break;
    case CERTIFICATE_POLICIES:
      decoded.policies = decodeCertificatePolicies(value);
      break;
    case NO_REV_AVAIL:
      checkNoRevAvail(value);
      decoded.noRevAvail = true;
      break;
    case AGENT_CONTEXT:
      decoded.context = decodeAgentContext(value);
      break;
    default:
      decoded.unknown.push(extension);
  }
}
