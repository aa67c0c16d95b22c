import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { it } from 'node:test';
import fc from 'fast-check';
import { sha256 } from './sha256.ts';

it('hashes as SHA-256 does', () => {
  // FIPS 180-4, example of one block.
  assert.equal(sha256('abc').toHex(), 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (data) => {
      assert.deepEqual(sha256(data), new Uint8Array(createHash('sha256').update(data).digest()));
    }),
  );
});
