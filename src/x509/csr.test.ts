import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isWritError } from '../base/error.ts';
import { encodePem } from '../der/pem.ts';
import { bitString, encode, integer, nullValue, octetString, oid, sequence, setOf, utf8String } from '../der/writer.ts';
import { encodeSignatureAlgorithm } from './algorithm.ts';
import { encodeCsr, parseCsr, verifyCsr } from './csr.ts';
import { encodeExtensions, findExtension } from './extension.ts';
import { encodeSubjectAltName, SUBJECT_ALT_NAME } from './extensions/subject-alt-name.ts';
import { encodeName, formatName } from './name.ts';
import { assembleSigned } from './signed.ts';
import { ALL_ALGORITHMS, newTestKey, testKey } from './testdata/keys.ts';
import { noOpenssl, openssl } from './testdata/openssl.ts';

const NAMES = {
  oid: SUBJECT_ALT_NAME,
  critical: true,
  value: encodeSubjectAltName([{ kind: 'dns', value: 'a.example' }]),
};

for (const algorithm of ALL_ALGORITHMS) {
  test(`a request of ${algorithm} is read back and proves possession`, async () => {
    const { spki, sign } = testKey(algorithm);
    const request = { spki, algorithm, sign: async (message: Uint8Array) => sign(message) };
    const bare = parseCsr(await encodeCsr(request));
    assert.deepEqual(bare.publicKey.spki, spki);
    assert.deepEqual(bare.extensions, []);
    assert.equal(bare.subject.rdns.length, 0);
    verifyCsr(bare);
    const subject = encodeName([['CN', 'x']]);
    const full = parseCsr(await encodeCsr({ ...request, subject, extensions: [NAMES] }));
    assert.deepEqual(findExtension(full.extensions, SUBJECT_ALT_NAME), NAMES);
    assert.equal(formatName(full.subject), 'CN=x');
    verifyCsr(full);
  });
}

test('a request signed by another key is refused', async () => {
  for (const algorithm of ['ecdsa-p256-sha256', 'ed25519', 'ml-dsa-44'] as const) {
    const { sign } = newTestKey(algorithm);
    const csr = await encodeCsr({ spki: testKey(algorithm).spki, algorithm, sign: async (message) => sign(message) });
    assert.throws(
      () => verifyCsr(parseCsr(csr)),
      (error) => isWritError(error, 'bad_csr') && error.field === 'certificationRequest.signature',
    );
  }
});

test('a request whose algorithm does not go with its key is refused', async () => {
  const { spki, sign } = testKey('ecdsa-p256-sha256');
  const csr = await encodeCsr({ spki, algorithm: 'ecdsa-p384-sha384', sign: async (message) => sign(message) });
  assert.throws(
    () => verifyCsr(parseCsr(csr)),
    (error) => isWritError(error, 'bad_csr'),
  );
});

test('a point that is not on its curve proves nothing', async () => {
  const { spki, sign } = testKey('ecdsa-p256-sha256');
  const off = Uint8Array.from(spki);
  off[off.length - 1]! ^= 1;
  const csr = await encodeCsr({ spki: off, algorithm: 'ecdsa-p256-sha256', sign: async (message) => sign(message) });
  assert.throws(
    () => verifyCsr(parseCsr(csr)),
    (error) => isWritError(error, 'bad_csr') && error.cause !== undefined,
  );
});

const KEY = testKey('ed25519');
const NONE: Uint8Array = new Uint8Array(0);
const EXTENSION_REQUEST = oid('1.2.840.113549.1.9.14');
const CHALLENGE = sequence(oid('1.2.840.113549.1.9.7'), setOf(utf8String('x')));
const REQUEST = sequence(EXTENSION_REQUEST, setOf(encodeExtensions([NAMES])));

/** A request with these attributes, in this order, and not signed. */
function made(attributes: Uint8Array, { version = 0, spki = KEY.spki, end = NONE } = {}): Uint8Array {
  const info = sequence(integer(version), sequence(), spki, attributes);
  return sequence(info, encodeSignatureAlgorithm('ed25519'), bitString(new Uint8Array(64)), end);
}

test('attributes that are not known are stepped over', () => {
  const csr = parseCsr(made(encode(0xa0, CHALLENGE, REQUEST)));
  assert.deepEqual(csr.extensions, [NAMES]);
});

const REFUSED: readonly [name: string, der: Uint8Array, code: 'bad_der' | 'bad_csr' | 'too_large', fault: RegExp][] = [
  ['version 1', made(encode(0xa0), { version: 1 }), 'bad_der', /version/],
  ['no attributes field', made(new Uint8Array(0)), 'bad_der', /attributes/],
  ['something after the attributes', made(Uint8Array.of(0xa0, 0, 5, 0)), 'bad_der', /unexpected bytes/],
  ['something at the end', made(encode(0xa0), { end: nullValue() }), 'bad_der', /unexpected bytes/],
  ['attributes out of order', made(encode(0xa0, REQUEST, CHALLENGE)), 'bad_der', /ascending order/],
  ['extensionRequest twice', made(encode(0xa0, REQUEST, REQUEST)), 'bad_der', /occurs twice/],
  [
    'extensionRequest with two values',
    made(encode(0xa0, sequence(EXTENSION_REQUEST, encode(0x31, encodeExtensions([NAMES]), encodeExtensions([NAMES]))))),
    'bad_der',
    /unexpected bytes/,
  ],
  ['extensionRequest without value', made(encode(0xa0, sequence(EXTENSION_REQUEST, setOf()))), 'bad_der', /values/],
  ['an attribute without value', made(encode(0xa0, sequence(oid('1.2.3'), setOf()))), 'bad_der', /missing/],
  [
    'an extension twice',
    made(encode(0xa0, sequence(EXTENSION_REQUEST, setOf(encodeExtensions([NAMES, NAMES]))))),
    'bad_csr',
    /occurs twice/,
  ],
  [
    'a key that is refused',
    made(encode(0xa0), { spki: sequence(sequence(oid('1.2.3')), bitString(octetString(new Uint8Array(1)))) }),
    'bad_csr',
    /1\.2\.3/,
  ],
  ['SHA-1', assembleWithSha1(), 'bad_csr', /SHA-1, which is too weak/],
  ['more than 16 KiB', new Uint8Array(16_385), 'too_large', /16385/],
];

function assembleWithSha1(): Uint8Array {
  const info = sequence(integer(0), sequence(), KEY.spki, encode(0xa0));
  return sequence(info, sequence(oid('1.2.840.113549.1.1.5'), nullValue()), bitString(new Uint8Array(64)));
}

for (const [name, der, code, fault] of REFUSED) {
  test(`refused: ${name}`, () =>
    assert.throws(
      () => parseCsr(der),
      (error) => isWritError(error, code) && fault.test(error.message),
    ));
}

for (const algorithm of [
  'ecdsa-p256-sha256',
  'ecdsa-p384-sha384',
  'ed25519',
  'rsa-pkcs1-sha256',
  'rsa-pss-sha256',
] as const) {
  test(`openssl verifies a request of ${algorithm}`, { skip: noOpenssl }, async () => {
    const { spki, sign } = testKey(algorithm);
    const csr = await encodeCsr({ spki, algorithm, extensions: [NAMES], sign: async (message) => sign(message) });
    const text = openssl(['req', '-in', 'csr', '-verify', '-noout', '-text'], {
      csr: encodePem('CERTIFICATE REQUEST', csr),
    });
    assert.match(text.toString(), /X509v3 Subject Alternative Name: critical\s+DNS:a\.example/);
  });
}

for (const args of [
  ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256'],
  ['ec', '-pkeyopt', 'ec_paramgen_curve:P-384', '-sha384'],
  ['ed25519'],
  ['rsa:2048'],
  ['rsa:2048', '-sigopt', 'rsa_padding_mode:pss', '-sigopt', 'rsa_pss_saltlen:32'],
] as const) {
  test(`a request that openssl made with ${args.join(' ')} is taken`, { skip: noOpenssl }, () => {
    const der = openssl([
      ...['req', '-new', '-newkey', ...args, '-noenc', '-keyout', 'key', '-outform', 'DER', '-subj', '/CN=x'],
      ...['-addext', 'subjectAltName=URI:spiffe://example.org/a,DNS:a.example', '-addext', 'keyUsage=digitalSignature'],
    ]);
    const csr = parseCsr(new Uint8Array(der));
    verifyCsr(csr);
    assert.equal(csr.extensions.length, 2);
  });
}

test('a request that openssl made with SHA-1 is refused with the reason', { skip: noOpenssl }, () => {
  const der = openssl([
    'req',
    '-new',
    '-newkey',
    'rsa:2048',
    '-sha1',
    '-noenc',
    '-keyout',
    'key',
    '-outform',
    'DER',
    '-subj',
    '/CN=x',
  ]);
  assert.throws(
    () => parseCsr(new Uint8Array(der)),
    (error) => isWritError(error, 'bad_csr') && /SHA-1/.test(error.message),
  );
});

test('assembleSigned makes what parseCsr reads', () => {
  const info = sequence(integer(0), sequence(), KEY.spki, encode(0xa0));
  verifyCsr(parseCsr(assembleSigned(info, 'ed25519', KEY.sign(info))));
});
