import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isWritError } from '../base/error.ts';
import { encodePem } from '../der/pem.ts';
import { encodeTime } from '../der/time.ts';
import { bitString, encode, integer, nullValue, sequence } from '../der/writer.ts';
import { encodeSignatureAlgorithm, verifySignature } from './algorithm.ts';
import { encodeTbsCertList, parseCrl, type RevokedCertificate } from './crl.ts';
import { type Extension, findExtension } from './extension.ts';
import { AUTHORITY_KEY_IDENTIFIER, encodeAuthorityKeyIdentifier } from './extensions/authority-key-identifier.ts';
import { CRL_NUMBER, decodeCrlNumber, encodeCrlNumber } from './extensions/crl-number.ts';
import { encodeIssuingDistributionPoint, ISSUING_DISTRIBUTION_POINT } from './extensions/issuing-distribution-point.ts';
import { decodeReasonCode, REASON_CODE } from './extensions/reason-code.ts';
import { encodeName } from './name.ts';
import { keyIdentifier, parsePublicKey } from './public-key.ts';
import { assembleSigned } from './signed.ts';
import { NOW, testChain } from './testdata/authority.ts';
import { ISSUING_ALGORITHMS, type TestKey, testKey } from './testdata/keys.ts';
import { noOpenssl, openssl } from './testdata/openssl.ts';

const REVOKED: readonly RevokedCertificate[] = [
  { serial: Uint8Array.from({ length: 20 }, (_, i) => i + 1), revokedAt: NOW, reason: 'keyCompromise' },
  { serial: Uint8Array.of(0x80), revokedAt: NOW + 1000, reason: 'unspecified' },
  { serial: Uint8Array.of(5), revokedAt: NOW + 2000 },
];

function crl(key: TestKey, revoked: Iterable<RevokedCertificate>, more: readonly Extension[] = []): Uint8Array {
  const identifier = encodeAuthorityKeyIdentifier(keyIdentifier(parsePublicKey(key.spki)));
  const tbs = encodeTbsCertList({
    algorithm: key.algorithm,
    issuer: encodeName([
      ['O', 'example.org'],
      ['CN', 'Root'],
    ]),
    thisUpdate: NOW,
    nextUpdate: NOW + 86_400_000,
    revoked,
    extensions: [
      { oid: AUTHORITY_KEY_IDENTIFIER, critical: false, value: identifier },
      { oid: CRL_NUMBER, critical: false, value: encodeCrlNumber(7) },
      ...more,
    ],
  });
  return assembleSigned(tbs, key.algorithm, key.sign(tbs));
}

for (const algorithm of ISSUING_ALGORITHMS) {
  test(`a list of ${algorithm} is read back and verifies`, () => {
    const key = testKey(algorithm);
    const list = parseCrl(crl(key, REVOKED));
    assert.ok(verifySignature(list.signatureAlgorithm, parsePublicKey(key.spki), list.tbs, list.signature));
    assert.deepEqual([list.version, list.thisUpdate, list.nextUpdate], [2, NOW, NOW + 86_400_000]);
    assert.equal(decodeCrlNumber(findExtension(list.extensions, CRL_NUMBER)!.value), 7n);
    assert.deepEqual(
      list.entries.map(({ serial, revokedAt, extensions }) => [
        Buffer.from(serial).toString('hex'),
        revokedAt - NOW,
        extensions.map(({ oid, value }) => [oid, decodeReasonCode(value)]),
      ]),
      [
        ['0102030405060708090a0b0c0d0e0f1011121314', 0, [[REASON_CODE, 'keyCompromise']]],
        ['0080', 1000, []],
        ['05', 2000, []],
      ],
    );
  });
}

test('an empty list leaves its entries out', () => {
  const list = parseCrl(crl(testKey('ed25519'), []));
  assert.deepEqual(list.entries, []);
});

test('openssl reads and verifies a list', { skip: noOpenssl }, () => {
  const { root } = testChain('ecdsa-p256-sha256');
  const point = encodeIssuingDistributionPoint({
    name: { fullName: [{ kind: 'uri', value: 'http://example.org/root.crl' }] },
    onlyCaCerts: true,
  });
  const der = crl(testKey('ecdsa-p256-sha256'), REVOKED, [
    { oid: ISSUING_DISTRIBUTION_POINT, critical: true, value: point },
  ]);
  const files = { crl: encodePem('X509 CRL', der), root: encodePem('CERTIFICATE', root.raw) };
  const text = openssl(['crl', '-in', 'crl', '-CAfile', 'root', '-noout', '-text'], files).toString();
  assert.match(
    text,
    /Serial Number: 0102030405060708090A0B0C0D0E0F1011121314\s+Revocation Date: Jan {2}1 00:00:00 2026 GMT/,
  );
  assert.match(text, /X509v3 CRL Reason Code: \n\s+Key Compromise/);
  assert.match(text, /X509v3 CRL Number: \n\s+7/);
  assert.match(text, /Only CA Certificates/);
});

test('ten thousand entries are written and read', () => {
  const revoked = Array.from({ length: 10_000 }, (_, i) => ({
    serial: Uint8Array.of(1, i >> 8, i & 255),
    revokedAt: NOW,
  }));
  const list = parseCrl(crl(testKey('ed25519'), revoked));
  assert.equal(list.entries.length, 10_000);
});

test('whatever is revoked is read back', () => {
  const entry = fc.record(
    { serial: fc.uint8Array({ minLength: 1, maxLength: 20 }), revokedAt: fc.nat(1e9).map((s) => s * 1000) },
    { requiredKeys: ['serial', 'revokedAt'] },
  );
  const key = testKey('ed25519');
  fc.assert(
    fc.property(fc.array(entry, { maxLength: 8 }), (revoked) => {
      const { entries } = parseCrl(crl(key, revoked));
      const number = (octets: Uint8Array) => BigInt(`0x${Buffer.from(octets).toString('hex')}`);
      assert.deepEqual(
        entries.map(({ serial, revokedAt }) => [number(serial), revokedAt]),
        revoked.map(({ serial, revokedAt }) => [number(serial), revokedAt]),
      );
    }),
    { numRuns: 50 },
  );
});

const ALGORITHM = encodeSignatureAlgorithm('ed25519');
const ISSUER = encodeName([['CN', 'x']]);
const TIME = encodeTime(NOW);
const NUMBER = encode(0xa0, sequence(sequence(encode(6, Uint8Array.of(0x55, 0x1d, 0x14)), encode(4, integer(1)))));
const made = (...fields: Uint8Array[]) => sequence(sequence(...fields), ALGORITHM, bitString(new Uint8Array(64)));

test('a list of version 1, without nextUpdate, is read', () => {
  const list = parseCrl(made(ALGORITHM, ISSUER, TIME, sequence(sequence(integer(1), TIME))));
  assert.deepEqual([list.version, list.nextUpdate, list.entries.length], [1, undefined, 1]);
});

const REFUSED: readonly [name: string, der: Uint8Array, field: RegExp][] = [
  ['version 3', made(integer(2), ALGORITHM, ISSUER, TIME), /version/],
  ['version 1 written out', made(integer(0), ALGORITHM, ISSUER, TIME), /version/],
  ['extensions in version 1', made(ALGORITHM, ISSUER, TIME, NUMBER), /crlExtensions/],
  [
    'entry extensions in version 1',
    made(ALGORITHM, ISSUER, TIME, sequence(sequence(integer(1), TIME, sequence()))),
    /crlEntryExtensions/,
  ],
  ['entries empty', made(integer(1), ALGORITHM, ISSUER, TIME, sequence()), /revokedCertificates/],
  [
    'an entry without time',
    made(integer(1), ALGORITHM, ISSUER, TIME, sequence(sequence(integer(1)))),
    /revocationDate/,
  ],
  ['something after the extensions', made(integer(1), ALGORITHM, ISSUER, TIME, NUMBER, nullValue()), /tbsCertList/],
  [
    'another algorithm inside',
    made(integer(1), encodeSignatureAlgorithm('ml-dsa-44'), ISSUER, TIME),
    /signatureAlgorithm/,
  ],
];

for (const [name, der, field] of REFUSED) {
  test(`refused: ${name}`, () =>
    assert.throws(
      () => parseCrl(der),
      (error) => isWritError(error) && field.test(error.field ?? ''),
    ));
}
