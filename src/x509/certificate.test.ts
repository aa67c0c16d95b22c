import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { isWritError } from '../base/error.ts';
import { decodePem, encodePem } from '../der/pem.ts';
import { encodeTime } from '../der/time.ts';
import { bitString, boolean, encode, integer, nullValue, octetString, oid, sequence } from '../der/writer.ts';
import { encodeSignatureAlgorithm, verifySignature } from './algorithm.ts';
import { parseCertificate, parseTbsCertificate } from './certificate.ts';
import { findExtension } from './extension.ts';
import { decodeSubjectAltName, SUBJECT_ALT_NAME } from './extensions/subject-alt-name.ts';
import { encodeName, formatName } from './name.ts';
import { parsePublicKey } from './public-key.ts';
import { NOW, rootFields, testChain } from './testdata/authority.ts';
import { ISSUING_ALGORITHMS, testKey } from './testdata/keys.ts';
import { noOpenssl, openssl } from './testdata/openssl.ts';

for (const algorithm of ISSUING_ALGORITHMS) {
  test(`a chain of ${algorithm} is read back and verifies`, () => {
    const { root, issuing, leaf } = testChain(algorithm);
    assert.equal(formatName(issuing.subject), 'CN=Issuing,O=example.org');
    assert.deepEqual(leaf.issuer.raw, issuing.subject.raw);
    assert.equal(leaf.notBefore, NOW - 30_000);
    assert.equal(leaf.notAfter, NOW + 3_600_000);
    assert.equal(leaf.version, 3);
    assert.equal(leaf.signatureAlgorithm, algorithm);
    assert.deepEqual(
      leaf.serial,
      Uint8Array.from({ length: 20 }, (_, i) => i + 3),
    );
    assert.deepEqual(parseTbsCertificate(leaf.tbs).extensions, leaf.extensions);
    const [name] = decodeSubjectAltName(findExtension(leaf.extensions, SUBJECT_ALT_NAME)!.value);
    assert.equal(name?.kind === 'uri' && name.value, 'spiffe://example.org/agent/planner/01jd0000000000000000000000');
    for (const [child, parent] of [
      [leaf, issuing],
      [issuing, root],
      [root, root],
    ] as const) {
      assert.ok(verifySignature(child.signatureAlgorithm, parsePublicKey(parent.spki), child.tbs, child.signature));
    }
  });

  test(`node:crypto takes a chain of ${algorithm}`, () => {
    const { root, issuing, leaf } = testChain(algorithm);
    const [r, i, l] = [root, issuing, leaf].map(({ raw }) => new X509Certificate(raw)) as [
      X509Certificate,
      X509Certificate,
      X509Certificate,
    ];
    assert.ok(l.verify(i.publicKey) && i.verify(r.publicKey) && l.checkIssued(i) && i.checkIssued(r));
    assert.equal(l.subjectAltName, 'URI:spiffe://example.org/agent/planner/01jd0000000000000000000000');
    assert.equal(l.ca, false);
    assert.equal(i.ca, true);
  });
}

for (const algorithm of ['ecdsa-p256-sha256', 'ecdsa-p384-sha384', 'ed25519'] as const) {
  test(`openssl verifies a chain of ${algorithm} strictly`, { skip: noOpenssl }, () => {
    const { root, issuing, leaf } = testChain(algorithm);
    const files = {
      root: encodePem('CERTIFICATE', root.raw),
      issuing: encodePem('CERTIFICATE', issuing.raw),
      leaf: encodePem('CERTIFICATE', leaf.raw),
    };
    const args = ['verify', '-x509_strict', '-check_ss_sig', '-attime', String(NOW / 1000)];
    openssl([...args, '-CAfile', 'root', '-untrusted', 'issuing', 'leaf'], files);
    const text = openssl(['x509', '-in', 'leaf', '-noout', '-text'], files).toString();
    assert.match(text, /X509v3 Subject Alternative Name: critical\s+URI:spiffe:\/\/example\.org\/agent\/planner/);
    assert.match(text, /X509v3 Key Usage: critical\s+Digital Signature\n/);
    assert.match(text, /TLS Web Server Authentication, TLS Web Client Authentication/);
  });
}

for (const args of [
  ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256'],
  ['ec', '-pkeyopt', 'ec_paramgen_curve:P-384'],
  ['ed25519'],
  ['rsa:2048'],
] as const) {
  test(`a certificate that openssl made with ${args.at(-1)} is read`, { skip: noOpenssl }, () => {
    const [algorithm, ...options] = args;
    const der = openssl([
      ...[
        'req',
        '-x509',
        '-newkey',
        algorithm,
        ...options,
        '-noenc',
        '-keyout',
        'key',
        '-days',
        '30',
        '-outform',
        'DER',
      ],
      ...['-subj', '/C=AT/O=Example/CN=foreign', '-addext', 'subjectAltName=DNS:a.example,IP:::1,email:a@b.example'],
    ]);
    const certificate = parseCertificate(new Uint8Array(der));
    assert.equal(formatName(certificate.subject), 'CN=foreign,O=Example,C=AT');
    const key = parsePublicKey(certificate.spki);
    if (args[2] === 'ec_paramgen_curve:P-384') return; // openssl signs it with SHA-256, which does not go with P-384
    assert.ok(verifySignature(certificate.signatureAlgorithm, key, certificate.tbs, certificate.signature));
  });
}

for (const algorithm of ['ml-dsa-44', 'ml-dsa-65', 'ml-dsa-87'] as const) {
  test(`the example certificate for ${algorithm} of RFC 9881 appendix C verifies`, () => {
    const pem = readFileSync(join(import.meta.dirname, `testdata/rfc9881/${algorithm}.pem`), 'utf8');
    const certificate = parseCertificate(decodePem(pem, 'CERTIFICATE'));
    assert.equal(certificate.signatureAlgorithm, algorithm);
    assert.equal(formatName(certificate.subject), 'CN=LAMPS WG,O=IETF');
    const key = parsePublicKey(certificate.spki);
    assert.ok(verifySignature(algorithm, key, certificate.tbs, certificate.signature));
  });
}

/** A certificate with the parts of the root, some of them replaced. */
function made(parts: Partial<Record<keyof typeof PARTS, Uint8Array>>): Uint8Array {
  const p = { ...PARTS, ...parts };
  const tbs = sequence(p.version, p.serial, p.algorithm, p.issuer, p.validity, p.issuer, p.spki, p.ids, p.extensions);
  return sequence(tbs, p.outer, bitString(new Uint8Array(64)), p.end);
}

const NONE = new Uint8Array(0);
const KEY = testKey('ed25519');
const ALGORITHM = encodeSignatureAlgorithm('ed25519');
const extension = (...fields: Uint8Array[]) => sequence(oid('1.2.3'), ...fields, octetString(nullValue()));
const PARTS = {
  version: encode(0xa0, integer(2)),
  serial: integer(1),
  algorithm: ALGORITHM,
  issuer: encodeName([['CN', 'x']]),
  validity: sequence(encodeTime(NOW), encodeTime(NOW + 1000)),
  spki: rootFields(KEY).spki,
  ids: NONE,
  extensions: encode(0xa3, sequence(extension())),
  outer: ALGORITHM,
  end: NONE,
};

const READ: readonly [name: string, parts: Parameters<typeof made>[0]][] = [
  ['nothing replaced', {}],
  ['no extensions', { extensions: NONE }],
  ['version 1', { version: NONE, extensions: NONE }],
  [
    'version 2 with unique identifiers',
    { version: encode(0xa0, integer(1)), ids: encode(0x81, Uint8Array.of(0, 1)), extensions: NONE },
  ],
  ['serial number 0', { serial: integer(0) }],
  ['negative serial number', { serial: encode(2, Uint8Array.of(0x80)) }],
  ['critical extension', { extensions: encode(0xa3, sequence(extension(boolean(true)))) }],
];

for (const [name, parts] of READ) {
  test(`read: ${name}`, () => assert.equal(parseCertificate(made(parts)).raw.length > 0, true));
}

const REFUSED: readonly [name: string, parts: Parameters<typeof made>[0], field: RegExp][] = [
  ['version 1 written out', { version: encode(0xa0, integer(0)) }, /tbsCertificate\.version/],
  ['version 4', { version: encode(0xa0, integer(3)) }, /tbsCertificate\.version\.number/],
  ['extensions in version 1', { version: NONE }, /tbsCertificate\.extensions/],
  ['extensions in version 2', { version: encode(0xa0, integer(1)) }, /tbsCertificate\.extensions/],
  [
    'unique identifier in version 1',
    { version: NONE, extensions: NONE, ids: encode(0x81, Uint8Array.of(0)) },
    /tbsCertificate,/,
  ],
  ['serial number without octets', { serial: encode(2) }, /serialNumber/],
  ['a time of another form', { validity: sequence(encodeTime(NOW), octetString(NONE)) }, /validity\.notAfter/],
  ['a third time', { validity: sequence(encodeTime(NOW), encodeTime(NOW), encodeTime(NOW)) }, /validity/],
  ['extensions empty', { extensions: encode(0xa3, sequence()) }, /extensions/],
  ['extensions twice', { extensions: encode(0xa3, sequence(extension()), sequence(extension())) }, /extensions/],
  ['an extension twice', { extensions: encode(0xa3, sequence(extension(), extension())) }, /extensions/],
  ['critical FALSE written out', { extensions: encode(0xa3, sequence(extension(boolean(false)))) }, /critical/],
  [
    '65 extensions',
    {
      extensions: encode(
        0xa3,
        sequence(...Array.from({ length: 65 }, (_, i) => sequence(oid(`1.2.${i}`), octetString(NONE)))),
      ),
    },
    /extensions/,
  ],
  [
    'something after the extensions',
    { extensions: Uint8Array.of(...encode(0xa3, sequence(extension())), 5, 0) },
    /tbsCertificate/,
  ],
  ['something after the signature', { end: nullValue() }, /certificate/],
  ['another algorithm outside', { outer: encodeSignatureAlgorithm('ecdsa-p256-sha256') }, /signatureAlgorithm/],
];

for (const [name, parts, field] of REFUSED) {
  test(`refused: ${name}`, () =>
    assert.throws(
      () => parseCertificate(made(parts)),
      (error) => isWritError(error) && field.test(error.field ?? ''),
    ));
}

test('a certificate beyond 64 KiB is not looked at', () => {
  assert.throws(
    () => parseCertificate(new Uint8Array(65_537)),
    (error) => isWritError(error, 'too_large'),
  );
});
