import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isWritError } from './error.ts';
import { isId, newId } from './id.ts';
import { idOctets, idOfOctets } from './id-octets.ts';
import { systemRandom } from './random.ts';

test('any 16 octets are an id, and come back', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (octets) => {
      const id = idOfOctets(octets);
      assert.ok(isId(id));
      assert.deepEqual(idOctets(id), octets);
    }),
  );
  assert.equal(idOfOctets(new Uint8Array(16).fill(255)), '7zzzzzzzzzzzzzzzzzzzzzzzzz');
  const id = newId(1_800_000_000_000, systemRandom());
  assert.equal(idOfOctets(idOctets(id)), id);
  assert.equal(Buffer.from(idOctets(id)).readUIntBE(0, 6), 1_800_000_000_000, 'the time comes first');
});

test('what is no id is not packed', () => {
  for (const bad of ['', 'x', '8zzzzzzzzzzzzzzzzzzzzzzzzz', '0000000000000000000000000u']) {
    assert.throws(
      () => idOctets(bad),
      (error) => isWritError(error, 'internal'),
    );
  }
});
