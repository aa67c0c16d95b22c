import { sameBytes } from '../../../src/der/bytes.ts';
import { finish, MAX_DER_BYTES, openDer } from '../../../src/der/reader.ts';
import { parseTrustDomain } from '../../../src/spiffe-id/trust-domain.ts';
import { type Certificate, parseCertificate } from '../../../src/x509/certificate.ts';
import { parseCrl } from '../../../src/x509/crl.ts';
import { parseCsr, verifyCsr } from '../../../src/x509/csr.ts';
import { type Extension, encodeExtensions, readExtensions } from '../../../src/x509/extension.ts';
import { AGENT_CONTEXT, decodeAgentContext, encodeAgentContext } from '../../../src/x509/extensions/agent-context.ts';
import {
  AUTHORITY_INFO_ACCESS,
  decodeAuthorityInfoAccess,
} from '../../../src/x509/extensions/authority-info-access.ts';
import {
  AUTHORITY_KEY_IDENTIFIER,
  decodeAuthorityKeyIdentifier,
} from '../../../src/x509/extensions/authority-key-identifier.ts';
import { BASIC_CONSTRAINTS, decodeBasicConstraints } from '../../../src/x509/extensions/basic-constraints.ts';
import { CERTIFICATE_POLICIES, decodeCertificatePolicies } from '../../../src/x509/extensions/certificate-policies.ts';
import {
  CRL_DISTRIBUTION_POINTS,
  decodeCrlDistributionPoints,
} from '../../../src/x509/extensions/crl-distribution-points.ts';
import { CRL_NUMBER, DELTA_CRL_INDICATOR, decodeCrlNumber } from '../../../src/x509/extensions/crl-number.ts';
import { decodeExtendedKeyUsage, EXTENDED_KEY_USAGE } from '../../../src/x509/extensions/extended-key-usage.ts';
import { FRESHEST_CRL } from '../../../src/x509/extensions/freshest-crl.ts';
import {
  decodeIssuingDistributionPoint,
  ISSUING_DISTRIBUTION_POINT,
} from '../../../src/x509/extensions/issuing-distribution-point.ts';
import { decodeKeyUsage, KEY_USAGE } from '../../../src/x509/extensions/key-usage.ts';
import {
  decodeNameConstraints,
  encodeNameConstraints,
  NAME_CONSTRAINTS,
} from '../../../src/x509/extensions/name-constraints.ts';
import { checkNoRevAvail, NO_REV_AVAIL } from '../../../src/x509/extensions/no-rev-avail.ts';
import { checkOcspNoCheck, OCSP_NO_CHECK } from '../../../src/x509/extensions/ocsp-no-check.ts';
import { decodeOcspNonce, OCSP_NONCE } from '../../../src/x509/extensions/ocsp-nonce.ts';
import { decodeReasonCode, REASON_CODE } from '../../../src/x509/extensions/reason-code.ts';
import {
  decodeSubjectAltName,
  encodeSubjectAltName,
  SUBJECT_ALT_NAME,
} from '../../../src/x509/extensions/subject-alt-name.ts';
import {
  decodeSubjectKeyIdentifier,
  SUBJECT_KEY_IDENTIFIER,
} from '../../../src/x509/extensions/subject-key-identifier.ts';
import { lintCertificate } from '../../../src/x509/lint.ts';
import { formatName, namesMatch, parseName } from '../../../src/x509/name.ts';
import { RFC5280 } from '../../../src/x509/path/policy.ts';
import {
  decodeInhibitAnyPolicy,
  decodePolicyConstraints,
  decodePolicyMappings,
  INHIBIT_ANY_POLICY,
  POLICY_CONSTRAINTS,
  POLICY_MAPPINGS,
} from '../../../src/x509/path/policy-extensions.ts';
import type { PathResult } from '../../../src/x509/path/result.ts';
import { type PathRequest, validatePath } from '../../../src/x509/path/validate.ts';
import { importPublicKey, parsePublicKey } from '../../../src/x509/public-key.ts';
import { readCorpus } from '../corpus.ts';
import { BrokenPromise, demand, type Target } from '../target.ts';

const DECODERS: Readonly<Record<string, (value: Uint8Array) => unknown>> = {
  [AGENT_CONTEXT]: (value) =>
    demand(sameBytes(encodeAgentContext(decodeAgentContext(value)), value), 'agent context has two encodings'),
  [AUTHORITY_INFO_ACCESS]: decodeAuthorityInfoAccess,
  [AUTHORITY_KEY_IDENTIFIER]: decodeAuthorityKeyIdentifier,
  [BASIC_CONSTRAINTS]: decodeBasicConstraints,
  [CERTIFICATE_POLICIES]: decodeCertificatePolicies,
  [CRL_DISTRIBUTION_POINTS]: decodeCrlDistributionPoints,
  [CRL_NUMBER]: decodeCrlNumber,
  [DELTA_CRL_INDICATOR]: decodeCrlNumber,
  [EXTENDED_KEY_USAGE]: decodeExtendedKeyUsage,
  [FRESHEST_CRL]: decodeCrlDistributionPoints,
  [INHIBIT_ANY_POLICY]: decodeInhibitAnyPolicy,
  [ISSUING_DISTRIBUTION_POINT]: decodeIssuingDistributionPoint,
  [KEY_USAGE]: decodeKeyUsage,
  [NAME_CONSTRAINTS]: (value) =>
    demand(
      sameBytes(encodeNameConstraints(decodeNameConstraints(value)), value),
      'name constraints have two encodings',
    ),
  [NO_REV_AVAIL]: checkNoRevAvail,
  [OCSP_NO_CHECK]: checkOcspNoCheck,
  [OCSP_NONCE]: decodeOcspNonce,
  [POLICY_CONSTRAINTS]: decodePolicyConstraints,
  [POLICY_MAPPINGS]: decodePolicyMappings,
  [REASON_CODE]: decodeReasonCode,
  [SUBJECT_ALT_NAME]: (value) =>
    demand(sameBytes(encodeSubjectAltName(decodeSubjectAltName(value)), value), 'alternative names have two encodings'),
  [SUBJECT_KEY_IDENTIFIER]: decodeSubjectKeyIdentifier,
};

function decodeAll(extensions: readonly Extension[]): void {
  for (const { oid, value } of extensions) DECODERS[oid]?.(value);
}

const CODES = ['bad_der', 'bad_certificate', 'too_large', 'bad_request'] as const;

/** Input: `Extensions`, each of which is decoded. */
export const extension: Target = {
  name: 'extension',
  form: 'der',
  longest: MAX_DER_BYTES,
  codes: CODES,
  run(input) {
    const cursor = openDer(input, 'input');
    const extensions = readExtensions(cursor, 'extensions');
    finish(cursor);
    demand(sameBytes(encodeExtensions(extensions), input), 'extensions have two encodings');
    decodeAll(extensions);
  },
};

export const name: Target = {
  name: 'name',
  form: 'der',
  longest: MAX_DER_BYTES,
  codes: CODES,
  run(input) {
    const parsed = parseName(input);
    demand(namesMatch(parsed, parsed), 'a name does not match itself');
    // biome-ignore lint/suspicious/noControlCharactersInRegex: what a listing must not be made to print
    demand(!/[\x00-\x1f\x7f]/.test(formatName(parsed)), 'a name prints control characters');
  },
};

export const publicKey: Target = {
  name: 'public-key',
  form: 'der',
  longest: 4_096,
  codes: CODES,
  run: (input) => void importPublicKey(parsePublicKey(input)),
};

const LEAF_PROFILE = {
  kind: 'leaf',
  trustDomain: parseTrustDomain('agents.test'),
  keys: ['ec-p256'],
  maxValidity: 3_600_000,
  purposes: [],
} as const;

export const certificate: Target = {
  name: 'certificate',
  form: 'der',
  longest: MAX_DER_BYTES,
  codes: CODES,
  run(input) {
    const parsed = parseCertificate(input);
    demand(parsed.raw.length === input.length, 'octets beside the certificate were accepted');
    lintCertificate(parsed.tbs, undefined, LEAF_PROFILE);
    lintCertificate(parsed.tbs, undefined, { ...LEAF_PROFILE, kind: 'authority' });
    decodeAll(parsed.extensions);
  },
};

/** The chain that certificates of the corpus `path` belong to, read when first needed. */
let chain: { root: Certificate; middle: Certificate; leaf: Certificate } | undefined;

/** Input: a certificate that is tried as leaf, as intermediate and as anchor of a path whose other two are good. */
export const path: Target = {
  name: 'path',
  form: 'der',
  longest: MAX_DER_BYTES,
  codes: CODES,
  run(input) {
    chain ??= readChain();
    const tried = parseCertificate(input);
    const { root, middle, leaf } = chain;
    const at = leaf.notBefore + 1000;
    const settings = { at, policy: RFC5280, purpose: 'server' } as const;
    const asLeaf = validated({ ...settings, leaf: tried, intermediates: [middle], anchors: [root] });
    const asMiddle = validated({ ...settings, leaf, intermediates: [tried], anchors: [root] });
    validated({ ...settings, leaf, intermediates: [middle], anchors: [tried] });
    const genuine = [root, middle, leaf].some(({ tbs }) => sameBytes(tbs, tried.tbs));
    demand(genuine || (!asLeaf.valid && !asMiddle.valid), 'a certificate that nobody signed was accepted');
  },
};

/** Whatever parsed certificates hold is an answer, never an exception. */
function validated(request: PathRequest): PathResult {
  try {
    return validatePath(request);
  } catch (error) {
    throw new BrokenPromise(`path validation throws: ${String(error)}`);
  }
}

function readChain(): NonNullable<typeof chain> {
  const [leaf, middle, root] = readCorpus('path')
    .filter(({ file }) => /^ok-\d/.test(file))
    .map(({ bytes }) => parseCertificate(bytes));
  return { leaf: leaf!, middle: middle!, root: root! };
}

let requests: readonly Uint8Array[] | undefined;

export const csr: Target = {
  name: 'csr',
  form: 'der',
  longest: 20_000,
  codes: ['bad_der', 'bad_csr', 'too_large'],
  run(input) {
    const parsed = parseCsr(input);
    verifyCsr(parsed);
    requests ??= readCorpus('csr').flatMap(({ bytes, accepted }) => (accepted ? [parseCsr(bytes).info] : []));
    demand(
      requests.some((info) => sameBytes(info, parsed.info)),
      'a request that nobody signed was accepted',
    );
  },
};

let lists: readonly Uint8Array[] | undefined;

/** Input: a revocation list, also tried on the chain of the corpus `path`. */
export const crl: Target = {
  name: 'crl',
  form: 'der',
  longest: 200_000,
  codes: CODES,
  run(input) {
    const parsed = parseCrl(input);
    decodeAll(parsed.extensions);
    for (const entry of parsed.entries) decodeAll(entry.extensions);
    chain ??= readChain();
    lists ??= readCorpus('crl').flatMap(({ bytes, accepted }) => (accepted ? [parseCrl(bytes).tbs] : []));
    const { root, middle, leaf } = chain;
    const at = leaf.notBefore + 1000;
    const request = { leaf, intermediates: [middle], anchors: [root], at, policy: RFC5280, crls: [parsed] };
    const result = validated(request);
    const revoked = !result.valid && result.reason === 'revoked';
    demand(!revoked || lists.some((tbs) => sameBytes(tbs, parsed.tbs)), 'a list that nobody signed revokes');
  },
};
