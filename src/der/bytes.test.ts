import assert from 'node:assert/strict';
import { test } from 'node:test';
import { holdsAt, sameBytes } from './bytes.ts';

const ABC = Uint8Array.of(1, 2, 3);

test('octets are the same when all of them are', () => {
  assert.ok(sameBytes(ABC, Uint8Array.of(1, 2, 3)));
  assert.ok(sameBytes(new Uint8Array(0), new Uint8Array(0)));
  for (const other of [[1, 2], [1, 2, 4], [1, 2, 3, 0], []]) assert.ok(!sameBytes(ABC, Uint8Array.from(other)));
});

test('a part is found at its place alone, and only whole', () => {
  assert.ok(holdsAt(ABC, 1, Uint8Array.of(2, 3)));
  assert.ok(!holdsAt(ABC, 0, Uint8Array.of(2, 3)));
  assert.ok(!holdsAt(ABC, 2, Uint8Array.of(3, 4)));
  assert.ok(holdsAt(ABC, 3, new Uint8Array(0)));
});
