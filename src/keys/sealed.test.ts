import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isWritError } from '../base/error.ts';
import { systemRandom } from '../base/random.ts';
import { Passphrase } from './passphrase.ts';
import { deriveKey, newDerivation, readDerivation, sameDerivation, seal, unseal } from './sealed.ts';

const random = systemRandom();
const name = { id: '01k0', purpose: 'authority' };
const passphrase = new Passphrase(Buffer.from('correct horse battery'));
/** As weak as the bounds allow: these tests are about the format. */
const derivation = { memory: 8192, passes: 1, lanes: 1, salt: random(16) };
const kek = await deriveKey(passphrase, derivation);
const secret = Buffer.from('PKCS#8 of a key');

test('the format is the one that is stored: a sealed secret of the first day opens', async () => {
  const old = Buffer.from(
    '575249540101000020000000000101000102030405060708090a0b0c0d0e0f202122232425262728292a2b' +
      'a83b86f42813736b4671dc7ea365d7dd01a6601d86d27751046aa7325e04f4',
    'hex',
  );
  const sealed = seal(
    await deriveKey(passphrase, { ...derivation, salt: Uint8Array.from({ length: 16 }, (_, n) => n) }),
    name,
    secret,
    (size) => Uint8Array.from({ length: size }, (_, n) => 32 + n),
  );
  assert.equal(Buffer.from(sealed).toString('hex'), old.toString('hex'));
});

test('opens under its own key and name, and under no other', async () => {
  const sealed = seal(kek, name, secret, random);
  assert.deepEqual(unseal(kek, name, sealed), secret);
  for (const other of [
    { ...name, id: '01k1' },
    { ...name, purpose: 'ledger' },
    { id: 'authority', purpose: '01k0' },
    { id: '', purpose: 'authority\u000001k0' },
  ]) {
    assert.equal(unseal(kek, other, sealed), undefined, JSON.stringify(other));
  }
  const wrong = await deriveKey(new Passphrase(Buffer.from('correct horse batterx')), derivation);
  assert.equal(unseal(wrong, name, sealed), undefined);
});

test('any altered, missing or added octet keeps it shut', () => {
  const sealed = seal(kek, name, secret, random);
  fc.assert(
    fc.property(fc.nat(sealed.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
      const altered = Uint8Array.from(sealed);
      altered[at]! ^= change;
      assert.equal(opens(altered), false);
    }),
  );
  for (let length = 0; length < sealed.length; length++) assert.equal(opens(sealed.subarray(0, length)), false);
  assert.equal(opens(Buffer.concat([sealed, Buffer.alloc(1)])), false);
});

function opens(sealed: Uint8Array): boolean {
  try {
    return unseal(kek, name, sealed) !== undefined;
  } catch (error) {
    assert.ok(isWritError(error, 'signer_failed') || isWritError(error, 'newer_version'), String(error));
    return false;
  }
}

test('parameters out of bounds are refused before anything is derived', () => {
  const sealed = Buffer.from(seal(kek, name, secret, random));
  const table: [string, (octets: Buffer) => void][] = [
    ['memory', (octets) => octets.writeUInt32BE(1_048_577, 6)],
    ['memory', (octets) => octets.writeUInt32BE(8191, 6)],
    ['passes', (octets) => octets.writeUInt32BE(0, 10)],
    ['passes', (octets) => octets.writeUInt32BE(17, 10)],
    ['lanes', (octets) => octets.writeUInt8(0, 14)],
    ['lanes', (octets) => octets.writeUInt8(17, 14)],
    ['key derivation', (octets) => octets.writeUInt8(2, 5)],
    ['first octets', (octets) => octets.writeUInt8(0, 0)],
  ];
  for (const [where, alter] of table) {
    const altered = Buffer.from(sealed);
    alter(altered);
    assert.throws(
      () => readDerivation(altered),
      (error) => isWritError(error, 'signer_failed') && error.message.includes(where),
    );
  }
  sealed.writeUInt8(2, 4);
  assert.throws(
    () => readDerivation(sealed),
    (error) => isWritError(error, 'newer_version'),
  );
});

test('nothing longer than any private key is sealed', () => {
  assert.equal(unseal(kek, name, seal(kek, name, new Uint8Array(8192), random))?.length, 8192);
  assert.throws(
    () => seal(kek, name, new Uint8Array(8193), random),
    (error) => isWritError(error, 'too_large'),
  );
});

test('two sealings share no nonce, two derivations no salt, and each can be told from the other', () => {
  const [a, b] = [seal(kek, name, secret, random), seal(kek, name, secret, random)];
  assert.notDeepEqual(a.subarray(31, 43), b.subarray(31, 43));
  const [d, e] = [newDerivation(random), newDerivation(random)];
  assert.ok(!sameDerivation(d, e) && sameDerivation(d, { ...d }));
  assert.deepEqual(readDerivation(a), derivation);
});

test('the derivation of an installation costs a guess at least 20 ms and 64 MiB', async () => {
  const fresh = newDerivation(random);
  const start = performance.now();
  await deriveKey(passphrase, fresh);
  assert.ok(performance.now() - start > 20);
  assert.equal(fresh.memory, 64 * 1024);
});
