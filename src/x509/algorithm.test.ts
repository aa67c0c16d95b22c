import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isWritError } from '../base/error.ts';
import { openDer } from '../der/reader.ts';
import { nullValue, oid, sequence } from '../der/writer.ts';
import { encodeSignatureAlgorithm, keyAlgorithmOf, readSignatureAlgorithm, verifySignature } from './algorithm.ts';
import { parsePublicKey } from './public-key.ts';
import { ALL_ALGORITHMS, testKey } from './testdata/keys.ts';

const MESSAGE = new TextEncoder().encode('to be signed');
const read = (der: Uint8Array) => readSignatureAlgorithm(openDer(der, 'test'), 'signature');

for (const algorithm of ALL_ALGORITHMS) {
  test(`${algorithm}: identifier both ways, right and wrong signatures`, () => {
    assert.equal(read(encodeSignatureAlgorithm(algorithm)), algorithm);
    const key = testKey(algorithm);
    const publicKey = parsePublicKey(key.spki);
    assert.equal(publicKey.algorithm, keyAlgorithmOf(algorithm));
    const signature = key.sign(MESSAGE);
    assert.equal(verifySignature(algorithm, publicKey, MESSAGE, signature), true);
    assert.equal(verifySignature(algorithm, publicKey, MESSAGE.subarray(1), signature), false);
    assert.equal(verifySignature(algorithm, publicKey, MESSAGE, signature.subarray(1)), false);
    assert.equal(verifySignature(algorithm, publicKey, MESSAGE, new Uint8Array(0)), false);
    const changed = Uint8Array.from(signature);
    changed[changed.length - 1]! ^= 1;
    assert.equal(verifySignature(algorithm, publicKey, MESSAGE, changed), false);
    for (const other of ALL_ALGORITHMS) {
      if (other !== algorithm) assert.equal(verifySignature(other, publicKey, MESSAGE, signature), false, other);
    }
  });
}

test('identifiers are those of the RFCs', () => {
  const hex = (algorithm: (typeof ALL_ALGORITHMS)[number]) =>
    Buffer.from(encodeSignatureAlgorithm(algorithm)).toString('hex');
  assert.equal(hex('ecdsa-p256-sha256'), '300a06082a8648ce3d040302');
  assert.equal(hex('ed25519'), '300506032b6570');
  assert.equal(hex('ml-dsa-65'), '300b0609608648016503040312');
  assert.equal(hex('rsa-pkcs1-sha256'), '300d06092a864886f70d01010b0500');
  // As OpenSSL writes it for -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:32 -sha256
  assert.equal(
    hex('rsa-pss-sha256'),
    '304106092a864886f70d01010a3034a00f300d06096086480165030402010500a11c301a06092a864886f70d010108300d0609608648016503040201' +
      '0500a203020120',
  );
});

const REFUSED: readonly [name: string, der: Uint8Array, fault: RegExp][] = [
  ['RSA with SHA-1', sequence(oid('1.2.840.113549.1.1.5'), nullValue()), /SHA-1, which is too weak/],
  ['ECDSA with SHA-1', sequence(oid('1.2.840.10045.4.1')), /SHA-1, which is too weak/],
  ['RSA with MD5', sequence(oid('1.2.840.113549.1.1.4'), nullValue()), /MD5, which is broken/],
  ['DSA', sequence(oid('2.16.840.1.101.3.4.3.2')), /obsolete/],
  ['an unknown one', sequence(oid('1.2.3.4')), /1\.2\.3\.4 is unknown/],
  ['ECDSA with NULL', sequence(oid('1.2.840.10045.4.3.2'), nullValue()), /parameters that its RFC does not give/],
  ['RSA without NULL', sequence(oid('1.2.840.113549.1.1.11')), /parameters that its RFC does not give/],
  ['ML-DSA with NULL', sequence(oid('2.16.840.1.101.3.4.3.17'), nullValue()), /parameters that its RFC does not give/],
  ['PSS with its defaults, SHA-1', sequence(oid('1.2.840.113549.1.1.10'), sequence()), /RSASSA-PSS/],
];

for (const [name, der, fault] of REFUSED) {
  test(`refused: ${name}`, () =>
    assert.throws(
      () => read(der),
      (error) => isWritError(error, 'bad_certificate') && fault.test(error.message) && error.remedy !== undefined,
    ));
}

test('an ECDSA signature that is not strict DER does not verify', () => {
  const key = testKey('ecdsa-p256-sha256');
  const signature = key.sign(MESSAGE);
  const longForm = Uint8Array.of(0x30, 0x81, ...signature.subarray(1));
  const trailing = Uint8Array.of(...signature, 0);
  for (const malleable of [longForm, trailing]) {
    assert.equal(verifySignature('ecdsa-p256-sha256', parsePublicKey(key.spki), MESSAGE, malleable), false);
  }
});
