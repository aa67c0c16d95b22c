import type { TbsCertificate } from '../certificate.ts';
import type { CommonBeginning, Extension } from '../extension.ts';
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
import { checkOcspNoCheck, OCSP_NO_CHECK } from '../extensions/ocsp-no-check.ts';
import { decodeSubjectAltName, SUBJECT_ALT_NAME } from '../extensions/subject-alt-name.ts';
import { decodeSubjectKeyIdentifier, SUBJECT_KEY_IDENTIFIER } from '../extensions/subject-key-identifier.ts';
import type { GeneralName } from '../general-name.ts';
import { type PublicKey, parsePublicKey } from '../public-key.ts';

/** The key and the extensions of a certificate, decoded; absent ones are undefined. */
export interface Decoded extends Extensions {
  readonly publicKey: PublicKey;
  /** Extensions of no kind that a profile uses. */
  readonly unknown: readonly Extension[];
}

interface Extensions {
  basicConstraints: BasicConstraints | undefined;
  keyUsage: readonly KeyUsage[] | undefined;
  purposes: readonly string[] | undefined;
  /** Empty when the SAN is absent. */
  names: readonly GeneralName[];
  nameConstraints: NameConstraints | undefined;
  subjectKeyIdentifier: Uint8Array | undefined;
  authorityKeyIdentifier: AuthorityKeyIdentifier | undefined;
  distributionPoints: readonly DistributionPoint[] | undefined;
  access: readonly AccessDescription[] | undefined;
  policies: readonly PolicyInformation[] | undefined;
  noRevAvail: true | undefined;
  ocspNoCheck: true | undefined;
  context: AgentContext | undefined;
}

type Decoder = (value: Uint8Array) => Extensions[keyof Extensions];

const DECODERS: ReadonlyMap<string, readonly [keyof Extensions, Decoder]> = new Map([
  [BASIC_CONSTRAINTS, ['basicConstraints', decodeBasicConstraints]],
  [KEY_USAGE, ['keyUsage', decodeKeyUsage]],
  [EXTENDED_KEY_USAGE, ['purposes', decodeExtendedKeyUsage]],
  [SUBJECT_ALT_NAME, ['names', decodeSubjectAltName]],
  [NAME_CONSTRAINTS, ['nameConstraints', decodeNameConstraints]],
  [SUBJECT_KEY_IDENTIFIER, ['subjectKeyIdentifier', decodeSubjectKeyIdentifier]],
  [AUTHORITY_KEY_IDENTIFIER, ['authorityKeyIdentifier', decodeAuthorityKeyIdentifier]],
  [CRL_DISTRIBUTION_POINTS, ['distributionPoints', decodeCrlDistributionPoints]],
  [AUTHORITY_INFO_ACCESS, ['access', decodeAuthorityInfoAccess]],
  [CERTIFICATE_POLICIES, ['policies', decodeCertificatePolicies]],
  [NO_REV_AVAIL, ['noRevAvail', checkNoRevAvail]],
  [OCSP_NO_CHECK, ['ocspNoCheck', checkOcspNoCheck]],
  [AGENT_CONTEXT, ['context', decodeAgentContext]],
]);

/** What one issuer's certificates begin their extensions with, and what those say. */
export interface Seen {
  readonly common: CommonBeginning;
  readonly said: WeakMap<Extension, Extensions[keyof Extensions] & object>;
}

/** Decodes key and extensions. Throws `bad_der` or `bad_certificate` when one of them is malformed. */
export function decodeAll(tbs: TbsCertificate, seen?: Seen): Decoded {
  const unknown: Extension[] = [];
  const decoded = { ...NOTHING, publicKey: parsePublicKey(tbs.spki), unknown };
  tbs.extensions.forEach((extension, i) => {
    const decoder = DECODERS.get(extension.oid);
    if (decoder === undefined) unknown.push(extension);
    else if (seen?.common[i]?.extension === extension) decoded[decoder[0]] = says(extension, decoder[1], seen) as never;
    else decoded[decoder[0]] = decoder[1](extension.value) as never;
  });
  return decoded;
}

function says(extension: Extension, decode: Decoder, { said }: Seen): Extensions[keyof Extensions] {
  const known = said.get(extension);
  if (known !== undefined) return known;
  const first = decode(extension.value);
  if (typeof first === 'object') said.set(extension, first);
  return first;
}

const NOTHING: Extensions = {
  basicConstraints: undefined,
  keyUsage: undefined,
  purposes: undefined,
  names: [],
  nameConstraints: undefined,
  subjectKeyIdentifier: undefined,
  authorityKeyIdentifier: undefined,
  distributionPoints: undefined,
  access: undefined,
  policies: undefined,
  noRevAvail: undefined,
  ocspNoCheck: undefined,
  context: undefined,
};
