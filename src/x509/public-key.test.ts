import assert from 'node:assert/strict';
import { createHash, generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import { isWritError } from '../base/error.ts';
import { bitString, encode, integer, nullValue, oid, sequence, unsignedInteger } from '../der/writer.ts';
import { verifySignature } from './algorithm.ts';
import { importPublicKey, keyIdentifier, parsePublicKey } from './public-key.ts';
import { ALL_ALGORITHMS, testKey } from './testdata/keys.ts';

for (const algorithm of ALL_ALGORITHMS) {
  test(`a key for ${algorithm} is parsed and imported`, () => {
    const { spki } = testKey(algorithm);
    const key = parsePublicKey(spki);
    assert.deepEqual(key.spki, spki);
    assert.deepEqual(new Uint8Array(importPublicKey(key).export({ format: 'der', type: 'spki' })), spki);
    assert.equal(key.modulusBits, key.algorithm === 'rsa' ? 2048 : undefined);
  });
}

test('the key identifier is the leftmost 160 bits of SHA-256 over the key', () => {
  const key = parsePublicKey(testKey('ed25519').spki);
  assert.equal(key.bits.length, 32);
  const digest = createHash('sha256').update(key.bits).digest().subarray(0, 20);
  assert.deepEqual(keyIdentifier(key), new Uint8Array(digest));
});

const EC = oid('1.2.840.10045.2.1');
const P256 = oid('1.2.840.10045.3.1.7');
const point = (first: number, length: number) =>
  bitString(Uint8Array.from({ length }, (_, i) => (i === 0 ? first : 1)));
const modulus = (bits: number, last = 1) =>
  unsignedInteger(Uint8Array.from({ length: bits / 8 }, (_, i) => (i === 0 ? 0x80 : i === bits / 8 - 1 ? last : 0)));
const rsa = (n: Uint8Array, e: Uint8Array) =>
  sequence(sequence(oid('1.2.840.113549.1.1.1'), nullValue()), bitString(sequence(n, e)));

const REFUSED: readonly [name: string, spki: Uint8Array, fault: RegExp][] = [
  ['P-192', sequence(sequence(EC, oid('1.2.840.10045.3.1.1')), point(4, 49)), /not accepted/],
  ['secp256k1', sequence(sequence(EC, oid('1.3.132.0.10')), point(4, 65)), /not accepted/],
  ['EC without curve', sequence(sequence(EC), point(4, 65)), /not accepted/],
  ['EC with explicit parameters', sequence(sequence(EC, sequence(integer(1))), point(4, 65)), /not accepted/],
  ['EC with something after the curve', sequence(sequence(EC, P256, nullValue()), point(4, 65)), /not accepted/],
  ['a compressed point', sequence(sequence(EC, P256), point(2, 33)), /not 65 octets/],
  ['a hybrid point', sequence(sequence(EC, P256), point(6, 65)), /uncompressed/],
  ['the point at infinity', sequence(sequence(EC, P256), point(0, 1)), /not 65 octets/],
  ['Ed25519 of 31 octets', sequence(sequence(oid('1.3.101.112')), point(1, 31)), /not 32 octets/],
  ['Ed25519 with NULL', sequence(sequence(oid('1.3.101.112'), nullValue()), point(1, 32)), /not accepted/],
  ['Ed448', sequence(sequence(oid('1.3.101.113')), point(1, 57)), /1\.3\.101\.113/],
  ['X25519', sequence(sequence(oid('1.3.101.110')), point(1, 32)), /1\.3\.101\.110/],
  ['ML-DSA-44 under the OID of -65', sequence(sequence(oid('2.16.840.1.101.3.4.3.18')), point(1, 1312)), /not 1952/],
  ['ML-DSA with NULL', sequence(sequence(oid('2.16.840.1.101.3.4.3.17'), nullValue()), point(1, 1312)), /not accepted/],
  ['RSA without NULL', sequence(sequence(oid('1.2.840.113549.1.1.1')), bitString(sequence())), /not accepted/],
  ['RSA 1024', rsa(modulus(1024), integer(65537)), /shorter than 2048/],
  ['RSA 2040', rsa(modulus(2040), integer(65537)), /shorter than 2048/],
  ['RSA 16384', rsa(modulus(16_384), integer(65537)), /longer than 8192/],
  ['RSA with exponent 1', rsa(modulus(2048), integer(1)), /exponent is 1/],
  ['RSA with exponent 0', rsa(modulus(2048), integer(0)), /exponent is even/],
  ['RSA with an even exponent', rsa(modulus(2048), integer(65536)), /exponent is even/],
  ['RSA with a huge exponent', rsa(modulus(2048), modulus(512)), /longer than 256 bits/],
  ['RSA with a negative exponent', rsa(modulus(2048), encode(2, Uint8Array.of(0x81))), /negative/],
  ['RSA with an even modulus', rsa(modulus(2048, 2), integer(65537)), /modulus is even/],
  ['RSA with a negative modulus', rsa(encode(2, new Uint8Array(256).fill(0x81)), integer(3)), /negative/],
  ['DSA', sequence(sequence(oid('1.2.840.10040.4.1')), bitString(integer(1))), /1\.2\.840\.10040\.4\.1/],
];

for (const [name, spki, fault] of REFUSED) {
  test(`refused: ${name}`, () =>
    assert.throws(
      () => parsePublicKey(spki),
      (error) =>
        isWritError(error, 'bad_certificate') &&
        fault.test(error.message) &&
        error.field?.startsWith('subjectPublicKeyInfo') === true &&
        error.remedy !== undefined,
    ));
}

test('RSA of 2048 bits with exponent 3 is taken', () => {
  const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048, publicExponent: 3 });
  assert.equal(parsePublicKey(new Uint8Array(publicKey.export({ format: 'der', type: 'spki' }))).modulusBits, 2048);
});

test('a point that is not on its curve is found when the key is used', () => {
  const key = parsePublicKey(sequence(sequence(EC, P256), point(4, 65)));
  assert.throws(
    () => importPublicKey(key),
    (error) => isWritError(error, 'bad_certificate'),
  );
  const { sign } = testKey('ecdsa-p256-sha256');
  const message = new Uint8Array(1);
  assert.throws(
    () => verifySignature('ecdsa-p256-sha256', key, message, sign(message)),
    (error) => isWritError(error, 'bad_certificate'),
  );
});
