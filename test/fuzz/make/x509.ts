import { encodePem } from '../../../src/der/pem.ts';
import * as writer from '../../../src/der/writer.ts';
import { encodeExtensions } from '../../../src/x509/extension.ts';
import { AGENT_CONTEXT, encodeAgentContext } from '../../../src/x509/extensions/agent-context.ts';
import {
  AUTHORITY_INFO_ACCESS,
  encodeAuthorityInfoAccess,
} from '../../../src/x509/extensions/authority-info-access.ts';
import {
  AUTHORITY_KEY_IDENTIFIER,
  encodeAuthorityKeyIdentifier,
} from '../../../src/x509/extensions/authority-key-identifier.ts';
import { BASIC_CONSTRAINTS, encodeBasicConstraints } from '../../../src/x509/extensions/basic-constraints.ts';
import { CERTIFICATE_POLICIES, encodeCertificatePolicies } from '../../../src/x509/extensions/certificate-policies.ts';
import {
  CRL_DISTRIBUTION_POINTS,
  encodeCrlDistributionPoints,
} from '../../../src/x509/extensions/crl-distribution-points.ts';
import { DELTA_CRL_INDICATOR, encodeCrlNumber } from '../../../src/x509/extensions/crl-number.ts';
import {
  CLIENT_AUTH,
  EXTENDED_KEY_USAGE,
  encodeExtendedKeyUsage,
  SERVER_AUTH,
} from '../../../src/x509/extensions/extended-key-usage.ts';
import { FRESHEST_CRL } from '../../../src/x509/extensions/freshest-crl.ts';
import {
  encodeIssuingDistributionPoint,
  ISSUING_DISTRIBUTION_POINT,
} from '../../../src/x509/extensions/issuing-distribution-point.ts';
import { encodeKeyUsage, KEY_USAGE } from '../../../src/x509/extensions/key-usage.ts';
import {
  encodeNameConstraints,
  NAME_CONSTRAINTS,
  type NameConstraints,
} from '../../../src/x509/extensions/name-constraints.ts';
import { encodeNoRevAvail, NO_REV_AVAIL } from '../../../src/x509/extensions/no-rev-avail.ts';
import { encodeOcspNoCheck, OCSP_NO_CHECK } from '../../../src/x509/extensions/ocsp-no-check.ts';
import { encodeOcspNonce, OCSP_NONCE } from '../../../src/x509/extensions/ocsp-nonce.ts';
import { encodeReasonCode, REASON_CODE } from '../../../src/x509/extensions/reason-code.ts';
import { encodeSubjectAltName, SUBJECT_ALT_NAME } from '../../../src/x509/extensions/subject-alt-name.ts';
import {
  encodeSubjectKeyIdentifier,
  SUBJECT_KEY_IDENTIFIER,
} from '../../../src/x509/extensions/subject-key-identifier.ts';
import type { GeneralName } from '../../../src/x509/general-name.ts';
import { encodeName, parseName } from '../../../src/x509/name.ts';
import { INHIBIT_ANY_POLICY, POLICY_CONSTRAINTS, POLICY_MAPPINGS } from '../../../src/x509/path/policy-extensions.ts';
import { crlNumber, extension, issue, issueCrl, NOW } from '../../../src/x509/path/testdata/issue.ts';
import type { Files } from './files.ts';

const AGENT = 'spiffe://agents.test/agent/planner/01jd0000000000000000000000';
const uri = (value: string): GeneralName => ({ kind: 'uri', value });
const dns = (value: string): GeneralName => ({ kind: 'dns', value });
const email = (value: string): GeneralName => ({ kind: 'email', value });
const ip = (...octets: number[]): GeneralName => ({ kind: 'ip', value: Uint8Array.from(octets) });
const directory: GeneralName = { kind: 'directory', value: parseName(encodeName([['O', 'Example']])) };
const hash = (fill: number): Uint8Array => new Uint8Array(32).fill(fill);

const CONSTRAINTS: NameConstraints = {
  permitted: [
    uri('agents.test'),
    dns('agents.test'),
    email('nobody@invalid'),
    directory,
    ip(127, 0, 0, 0, 255, 0, 0, 0),
  ],
  excluded: [email('nobody@invalid'), ip(...new Array<number>(32).fill(0))],
};

/** Of a delta of a shard. */
const DELTA = [
  crlNumber(),
  extension(DELTA_CRL_INDICATOR, encodeCrlNumber(6), true),
  extension(
    ISSUING_DISTRIBUTION_POINT,
    encodeIssuingDistributionPoint({ name: { fullName: [uri('http://c.test/1')] }, onlyUserCerts: true }),
    true,
  ),
];

function everyExtension(): Uint8Array {
  const identifier = hash(1).subarray(0, 20);
  const names = [uri(AGENT), dns('a.agents.test'), ip(127, 0, 0, 1), email('a@b.test'), directory];
  return encodeExtensions([
    extension(AUTHORITY_KEY_IDENTIFIER, encodeAuthorityKeyIdentifier(identifier)),
    extension(SUBJECT_KEY_IDENTIFIER, encodeSubjectKeyIdentifier(identifier)),
    extension(BASIC_CONSTRAINTS, encodeBasicConstraints({ ca: true, pathLength: 1 }), true),
    extension(KEY_USAGE, encodeKeyUsage(['keyCertSign', 'cRLSign']), true),
    extension(EXTENDED_KEY_USAGE, encodeExtendedKeyUsage([SERVER_AUTH, CLIENT_AUTH])),
    extension(SUBJECT_ALT_NAME, encodeSubjectAltName(names)),
    extension(NAME_CONSTRAINTS, encodeNameConstraints(CONSTRAINTS), true),
    extension(CERTIFICATE_POLICIES, encodeCertificatePolicies(['2.5.29.32.0', '1.2.3.4'])),
    extension(POLICY_MAPPINGS, writer.sequence(writer.sequence(writer.oid('1.2.3'), writer.oid('1.2.4')))),
    extension(POLICY_CONSTRAINTS, Buffer.from('3003800100', 'hex'), true),
    extension(INHIBIT_ANY_POLICY, writer.integer(0), true),
    extension(
      AUTHORITY_INFO_ACCESS,
      encodeAuthorityInfoAccess([{ method: '1.3.6.1.5.5.7.48.1', location: uri('http://o.test') }]),
    ),
    extension(CRL_DISTRIBUTION_POINTS, encodeCrlDistributionPoints([uri('http://c.test/1')])),
    extension(
      ISSUING_DISTRIBUTION_POINT,
      encodeIssuingDistributionPoint({ name: { fullName: [uri('http://c.test/1')] }, onlyUserCerts: true }),
      true,
    ),
    crlNumber(),
    extension(DELTA_CRL_INDICATOR, encodeCrlNumber(6), true),
    extension(FRESHEST_CRL, encodeCrlDistributionPoints([uri('http://c.test/1/delta')])),
    extension(OCSP_NO_CHECK, encodeOcspNoCheck()),
    extension(OCSP_NONCE, encodeOcspNonce(hash(3))),
    extension(REASON_CODE, encodeReasonCode('keyCompromise')),
    extension(NO_REV_AVAIL, encodeNoRevAvail()),
    extension(
      AGENT_CONTEXT,
      encodeAgentContext({ workflow: 'nightly', task: 't-1', scopes: ['read', 'write'], grantDigest: hash(2) }),
    ),
  ]);
}

export function certificates(): Record<string, Files> {
  const root = issue('Root', { ca: true, constraints: CONSTRAINTS, names: [uri('spiffe://agents.test')] });
  const middle = issue('Issuing', { ca: true, issuer: root, pathLength: 0, names: [uri('spiffe://agents.test')] });
  const usage = extension(EXTENDED_KEY_USAGE, encodeExtendedKeyUsage([SERVER_AUTH, CLIENT_AUTH]));
  const context = extension(AGENT_CONTEXT, encodeAgentContext({ scopes: ['read'] }));
  const extensions = { [EXTENDED_KEY_USAGE]: usage, [AGENT_CONTEXT]: context };
  const leaf = issue('', { issuer: middle, names: [uri(AGENT), dns('a.agents.test')], extensions });
  const der = { leaf: leaf.certificate.raw, middle: middle.certificate.raw, root: root.certificate.raw };
  const revoked = [
    { serial: Uint8Array.of(1, 2), revokedAt: NOW, reason: 'keyCompromise' as const },
    { serial: Uint8Array.of(3), revokedAt: NOW },
  ];
  return {
    der: {
      'ok-certificate': der.leaf,
      'ok-every-type': writer.sequence(
        writer.boolean(true),
        writer.encode(0x02, Buffer.of(0xff, 0x7f)),
        writer.bitString(Uint8Array.of(1, 2)),
        writer.octetString(Uint8Array.of(3)),
        writer.nullValue(),
        writer.oid('1.2.840.113549.1.1.11'),
        writer.enumerated(3),
        writer.utf8String('é'),
        writer.printableString('A b'),
        writer.ia5String('a@b'),
        writer.encode(0x17, Buffer.from('260601000000Z')),
        writer.encode(0x18, Buffer.from('20600601000000Z')),
        writer.encode(0x1e, Buffer.of(0, 65)),
        writer.encode(0xa0, writer.setOf(writer.integer(1), writer.integer(2))),
      ),
      'refused-indefinite-length': Buffer.from('30800000', 'hex'),
      'refused-long-length': Buffer.from('30820001ff', 'hex'),
      'refused-truncated': der.leaf.subarray(0, 50),
    },
    pem: {
      'ok-chain': `leaf:\n${encodePem('CERTIFICATE', der.leaf)}${encodePem('CERTIFICATE', der.root)}`,
      'refused-no-end': encodePem('CERTIFICATE', der.leaf).slice(0, -10),
      'refused-other-end': encodePem('CERTIFICATE', der.leaf).replace('END CERTIFICATE', 'END KEY'),
    },
    extension: { 'ok-every': everyExtension(), 'refused-empty': writer.sequence() },
    name: {
      'ok-empty': encodeName([]),
      'ok-many': encodeName([
        ['C', 'DE'],
        ['O', 'Example, Inc.'],
        ['OU', ' #+'],
        ['DC', 'test'],
        ['CN', 'a\u0007b'],
      ]),
      'ok-two-in-one': writer.sequence(writer.setOf(attribute('2.5.4.3', 'a'), attribute('1.2.3.4', 'b'))),
      'refused-empty-set': writer.sequence(writer.setOf()),
    },
    certificate: {
      'ok-leaf': der.leaf,
      'ok-authority': der.middle,
      'ok-root': der.root,
      'refused-tail': Buffer.concat([der.leaf, Buffer.of(0)]),
    },
    path: {
      'ok-0-leaf': der.leaf,
      'ok-1-authority': der.middle,
      'ok-2-root': der.root,
      'refused-truncated': der.leaf.subarray(0, -1),
    },
    crl: {
      'ok-empty': issueCrl({ issuer: root }).raw,
      'ok-two': issueCrl({ issuer: middle, revoked }).raw,
      'ok-delta': issueCrl({ issuer: middle, revoked, extensions: DELTA }).raw,
      'ok-leaf': issueCrl({ issuer: middle, revoked: [{ serial: leaf.certificate.serial, revokedAt: NOW }] }).raw,
      'refused-truncated': issueCrl({ issuer: middle, revoked }).raw.subarray(0, -1),
    },
  };
}

function attribute(type: string, text: string): Uint8Array {
  return writer.sequence(writer.oid(type), writer.utf8String(text));
}
