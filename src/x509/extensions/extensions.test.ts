import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isWritError } from '../../base/error.ts';
import { encodeName, parseName } from '../name.ts';
import { ACCESS_OCSP, decodeAuthorityInfoAccess, encodeAuthorityInfoAccess } from './authority-info-access.ts';
import { decodeAuthorityKeyIdentifier, encodeAuthorityKeyIdentifier } from './authority-key-identifier.ts';
import { decodeBasicConstraints, encodeBasicConstraints } from './basic-constraints.ts';
import { decodeCertificatePolicies, encodeCertificatePolicies } from './certificate-policies.ts';
import { decodeCrlDistributionPoints, encodeCrlDistributionPoints } from './crl-distribution-points.ts';
import { decodeCrlNumber, encodeCrlNumber } from './crl-number.ts';
import { CLIENT_AUTH, decodeExtendedKeyUsage, encodeExtendedKeyUsage, SERVER_AUTH } from './extended-key-usage.ts';
import { decodeIssuingDistributionPoint, encodeIssuingDistributionPoint } from './issuing-distribution-point.ts';
import { decodeKeyUsage, encodeKeyUsage } from './key-usage.ts';
import { decodeNameConstraints, encodeNameConstraints } from './name-constraints.ts';
import { checkNoRevAvail, encodeNoRevAvail } from './no-rev-avail.ts';
import { decodeReasonCode, encodeReasonCode } from './reason-code.ts';
import { decodeSubjectAltName, encodeSubjectAltName } from './subject-alt-name.ts';
import { decodeSubjectKeyIdentifier, encodeSubjectKeyIdentifier } from './subject-key-identifier.ts';

const octets = (text: string) => new Uint8Array(Buffer.from(text.replace(/\s/g, ''), 'hex'));
const hex = (value: Uint8Array) => Buffer.from(value).toString('hex');

/** One value of an extension: as it is written, and what it says. */
interface Case {
  readonly name: string;
  readonly hex: string;
  readonly written: Uint8Array;
  readonly decode: (value: Uint8Array) => unknown;
  readonly want: unknown;
}

const URI = { kind: 'uri', value: 'http://a.example/' } as const;
const URI_HEX = '8611 687474703a2f2f612e6578616d706c652f';
const CN_X = '300c310a300806035504030c0178';
const DIRECTORY = { kind: 'directory', value: parseName(encodeName([['CN', 'x']])) } as const;
const EVERY_FORM = [
  { kind: 'email', value: 'a@b' },
  { kind: 'dns', value: 'a.b' },
  DIRECTORY,
  { kind: 'uri', value: 'a:b' },
  { kind: 'ip', value: octets('7f000001') },
  { kind: 'ip', value: octets(`${'00'.repeat(15)}01`) },
  { kind: 'other', tag: 0x88, value: octets('8803 2a0304') },
  { kind: 'other', tag: 0xa0, value: octets('a00b 06022a03 a005 0c03 616263') },
] as const;
const CONSTRAINTS = {
  permitted: [{ kind: 'uri', value: 'a.test' }, { kind: 'ip', value: octets('0a000000 ff000000') }, DIRECTORY],
  excluded: [{ kind: 'ip', value: new Uint8Array(32) }],
} as const;

const NO_KEY = { keyIdentifier: undefined, issuer: undefined, serial: undefined };

const READ_AND_WRITTEN: readonly Case[] = [
  {
    name: 'basicConstraints of a leaf',
    hex: '3000',
    written: encodeBasicConstraints({ ca: false }),
    decode: decodeBasicConstraints,
    want: { ca: false },
  },
  {
    name: 'basicConstraints of an authority',
    hex: '3006 0101ff 020100',
    written: encodeBasicConstraints({ ca: true, pathLength: 0 }),
    decode: decodeBasicConstraints,
    want: { ca: true, pathLength: 0 },
  },
  {
    name: 'keyUsage digitalSignature',
    hex: '0302 07 80',
    written: encodeKeyUsage(['digitalSignature']),
    decode: decodeKeyUsage,
    want: ['digitalSignature'],
  },
  {
    name: 'keyUsage of an authority',
    hex: '0302 01 06',
    written: encodeKeyUsage(['cRLSign', 'keyCertSign']),
    decode: decodeKeyUsage,
    want: ['keyCertSign', 'cRLSign'],
  },
  {
    name: 'keyUsage with the ninth bit',
    hex: '0303 07 0880',
    written: encodeKeyUsage(['keyAgreement', 'decipherOnly']),
    decode: decodeKeyUsage,
    want: ['keyAgreement', 'decipherOnly'],
  },
  {
    name: 'extKeyUsage',
    hex: '3014 06082b06010505070301 06082b06010505070302',
    written: encodeExtendedKeyUsage([SERVER_AUTH, CLIENT_AUTH]),
    decode: decodeExtendedKeyUsage,
    want: [SERVER_AUTH, CLIENT_AUTH],
  },
  {
    name: 'subjectKeyIdentifier',
    hex: '0402 0102',
    written: encodeSubjectKeyIdentifier(octets('0102')),
    decode: decodeSubjectKeyIdentifier,
    want: octets('0102'),
  },
  {
    name: 'authorityKeyIdentifier',
    hex: '3004 8002 0102',
    written: encodeAuthorityKeyIdentifier(octets('0102')),
    decode: decodeAuthorityKeyIdentifier,
    want: { keyIdentifier: octets('0102'), issuer: undefined, serial: undefined },
  },
  {
    name: 'subjectAltName of every form',
    hex: `3049 8103 614062 8203 612e62 a40e ${CN_X} 8603 613a62 8704 7f000001 8710 ${'00'.repeat(15)}01 8803 2a0304
      a00b 06022a03 a005 0c03 616263`,
    written: encodeSubjectAltName(EVERY_FORM),
    decode: decodeSubjectAltName,
    want: EVERY_FORM,
  },
  {
    name: 'nameConstraints',
    hex: `3050 a028 3008 8606 612e74657374 300a 8708 0a000000ff000000 3010 a40e ${CN_X}
      a124 3022 8720 ${'00'.repeat(32)}`,
    written: encodeNameConstraints(CONSTRAINTS),
    decode: decodeNameConstraints,
    want: CONSTRAINTS,
  },
  {
    name: 'cRLDistributionPoints',
    hex: `3019 3017 a015 a013 ${URI_HEX}`,
    written: encodeCrlDistributionPoints([URI]),
    decode: decodeCrlDistributionPoints,
    want: [{ name: { fullName: [URI] }, someReasons: false }],
  },
  {
    name: 'authorityInfoAccess',
    hex: `301f 301d 06082b06010505073001 ${URI_HEX}`,
    written: encodeAuthorityInfoAccess([{ method: ACCESS_OCSP, location: URI }]),
    decode: decodeAuthorityInfoAccess,
    want: [{ method: ACCESS_OCSP, location: URI }],
  },
  {
    name: 'certificatePolicies',
    hex: '3006 3004 06022a03',
    written: encodeCertificatePolicies(['1.2.3']),
    decode: decodeCertificatePolicies,
    want: [{ policy: '1.2.3', qualifiers: [] }],
  },
  {
    name: 'issuingDistributionPoint',
    hex: `301a a015 a013 ${URI_HEX} 8101ff`,
    written: encodeIssuingDistributionPoint({ name: { fullName: [URI] }, onlyUserCerts: true }),
    decode: decodeIssuingDistributionPoint,
    want: {
      name: { fullName: [URI] },
      onlyUserCerts: true,
      onlyCaCerts: false,
      someReasons: false,
      indirect: false,
      onlyAttributeCerts: false,
    },
  },
  { name: 'cRLNumber', hex: '0202 0100', written: encodeCrlNumber(256), decode: decodeCrlNumber, want: 256n },
  {
    name: 'reasonCode',
    hex: '0a01 09',
    written: encodeReasonCode('privilegeWithdrawn'),
    decode: decodeReasonCode,
    want: 'privilegeWithdrawn',
  },
  { name: 'noRevAvail', hex: '0500', written: encodeNoRevAvail(), decode: checkNoRevAvail, want: true },
];

for (const { name, hex: text, written, decode, want } of READ_AND_WRITTEN) {
  test(`both ways: ${name}`, () => {
    assert.equal(hex(written), text.replace(/\s/g, ''));
    assert.deepEqual(decode(written), want);
  });
}

/** Forms that others write and Writ only reads. */
const READ: readonly [name: string, hex: string, decode: (value: Uint8Array) => unknown, want: unknown][] = [
  [
    'basicConstraints without cA and with a path length',
    '3003 020101',
    decodeBasicConstraints,
    { ca: false, pathLength: 1 },
  ],
  ['authorityKeyIdentifier, empty', '3000', decodeAuthorityKeyIdentifier, NO_KEY],
  [
    'authorityKeyIdentifier with issuer and serial number',
    '300a a105 8203 612e62 8201 7f',
    decodeAuthorityKeyIdentifier,
    { ...NO_KEY, issuer: [{ kind: 'dns', value: 'a.b' }], serial: octets('7f') },
  ],
  [
    'a distribution point for some reasons, signed by another',
    `3018 3016 8102 0560 a210 a40e ${CN_X}`,
    decodeCrlDistributionPoints,
    [{ someReasons: true, crlIssuer: [DIRECTORY] }],
  ],
  [
    'a distribution point relative to its issuer',
    '3010 300e a00c a10a 3008 06035504030c0178',
    decodeCrlDistributionPoints,
    [{ name: { relativeName: octets('a10a 3008 06035504030c0178') }, someReasons: false }],
  ],
  [
    'a policy with a qualifier',
    '3011 300f 06022a03 3009 3007 06022a04 0c0161',
    decodeCertificatePolicies,
    [{ policy: '1.2.3', qualifiers: [{ id: '1.2.4', value: octets('0c0161') }] }],
  ],
  [
    'issuingDistributionPoint of an indirect CRL for some reasons',
    '3007 8302 0560 8401ff',
    decodeIssuingDistributionPoint,
    { onlyUserCerts: false, onlyCaCerts: false, someReasons: true, indirect: true, onlyAttributeCerts: false },
  ],
  ['cRLNumber of 20 octets', `0214 7f${'ff'.repeat(19)}`, decodeCrlNumber, (1n << 159n) - 1n],
];

for (const [name, text, decode, want] of READ) {
  test(`read: ${name}`, () => assert.deepEqual(decode(octets(text)), want));
}

const REFUSED: readonly [name: string, hex: string, decode: (value: Uint8Array) => unknown][] = [
  ['basicConstraints with cA FALSE written out', '3003 010100', decodeBasicConstraints],
  ['basicConstraints with a negative path length', '3006 0101ff 0201ff', decodeBasicConstraints],
  ['basicConstraints with its fields exchanged', '3006 020100 0101ff', decodeBasicConstraints],
  ['basicConstraints with a third field', '3008 0101ff 020100 0500', decodeBasicConstraints],
  ['keyUsage without a bit', '0301 00', decodeKeyUsage],
  ['keyUsage of zero bits', '0302 07 00', decodeKeyUsage],
  ['keyUsage with zero bits at the end', '0302 00 80', decodeKeyUsage],
  ['keyUsage with a tenth bit', '0303 06 8040', decodeKeyUsage],
  ['extKeyUsage, empty', '3000', decodeExtendedKeyUsage],
  ['subjectKeyIdentifier, empty', '0400', decodeSubjectKeyIdentifier],
  ['authorityKeyIdentifier with issuer alone', '3007 a105 8203 612e62', decodeAuthorityKeyIdentifier],
  ['authorityKeyIdentifier with serial number alone', '3003 82017f', decodeAuthorityKeyIdentifier],
  ['subjectAltName, empty', '3000', decodeSubjectAltName],
  ['subjectAltName with an address of 5 octets', '3007 8705 0000000000', decodeSubjectAltName],
  ['subjectAltName with address and mask', '300a 8708 0a000000ff000000', decodeSubjectAltName],
  ['subjectAltName beyond ASCII', '3004 8202 c3a9', decodeSubjectAltName],
  ['subjectAltName with a directory name tagged implicitly', '300c a40a 3008 06035504030c0178', decodeSubjectAltName],
  ['subjectAltName with a tag that is none of its forms', '3003 890100', decodeSubjectAltName],
  ['subjectAltName with a constructed dNSName', '3005 a203 820161', decodeSubjectAltName],
  ['nameConstraints, empty', '3000', decodeNameConstraints],
  ['nameConstraints with an empty list', '3002 a000', decodeNameConstraints],
  ['nameConstraints with lists exchanged', '300e a105 3003 820161 a005 3003 820161', decodeNameConstraints],
  ['nameConstraints with a minimum', '300a a008 3006 820161 800100', decodeNameConstraints],
  ['nameConstraints with an address alone', '300a a008 3006 8704 0a000000', decodeNameConstraints],
  ['nameConstraints with a mask that has holes', '300e a00c 300a 8708 0a000000ff00ff00', decodeNameConstraints],
  [
    'nameConstraints with a mask that has holes in an octet',
    '300e a00c 300a 8708 0a000000fd000000',
    decodeNameConstraints,
  ],
  ['cRLDistributionPoints, empty', '3000', decodeCrlDistributionPoints],
  ['a distribution point without name and issuer', '3002 3000', decodeCrlDistributionPoints],
  ['a distribution point with an empty name', '3006 3004 a002 a000', decodeCrlDistributionPoints],
  ['authorityInfoAccess, empty', '3000', decodeAuthorityInfoAccess],
  ['authorityInfoAccess without location', '300c 300a 06082b06010505073001', decodeAuthorityInfoAccess],
  ['certificatePolicies, empty', '3000', decodeCertificatePolicies],
  ['a policy twice', '300c 3004 06022a03 3004 06022a03', decodeCertificatePolicies],
  ['a policy with empty qualifiers', '3008 3006 06022a03 3000', decodeCertificatePolicies],
  ['issuingDistributionPoint with FALSE written out', '3003 810100', decodeIssuingDistributionPoint],
  ['issuingDistributionPoint for users and authorities at once', '3006 8101ff 8201ff', decodeIssuingDistributionPoint],
  ['a negative cRLNumber', '0201 ff', decodeCrlNumber],
  ['cRLNumber of 21 octets', `0215 01${'00'.repeat(20)}`, decodeCrlNumber],
  ['reasonCode 7', '0a01 07', decodeReasonCode],
  ['reasonCode 11', '0a01 0b', decodeReasonCode],
  ['reasonCode as INTEGER', '0201 01', decodeReasonCode],
  ['noRevAvail with content', '0501 00', checkNoRevAvail],
  ['noRevAvail that is no NULL', '3000', checkNoRevAvail],
];

for (const [name, text, decode] of REFUSED) {
  test(`refused: ${name}`, () =>
    assert.throws(
      () => decode(octets(text)),
      (error) => isWritError(error, 'bad_der') && error.field !== undefined,
    ));
}

for (const { name, written, decode } of READ_AND_WRITTEN) {
  test(`${name}: nothing may follow, nothing may be missing`, () => {
    assert.throws(
      () => decode(Uint8Array.of(...written, 0)),
      (error) => isWritError(error, 'bad_der'),
    );
    for (let length = 0; length < written.length; length++) {
      assert.throws(
        () => decode(written.subarray(0, length)),
        (error) => isWritError(error, 'bad_der'),
      );
    }
  });
}
