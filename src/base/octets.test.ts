import assert from 'node:assert/strict';
import { it } from 'node:test';
import { octets } from './octets.ts';

it('gives octets that nobody else has', () => {
  const all = Array.from({ length: 200 }, (_, i) => octets(i * 10).fill(i));
  for (const [i, one] of all.entries()) {
    assert.equal(one.length, i * 10);
    assert.ok(one.every((octet) => octet === i % 256));
  }
});
