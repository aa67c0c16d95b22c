import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isWritError } from '../base/error.ts';
import { decodeCursor, encodeCursor } from './cursor.ts';

const position = fc.record(
  {
    partition: fc.nat(0xffffffff),
    key: fc.constantFrom(0, 8, 20).chain((size) => fc.uint8Array({ minLength: size, maxLength: size })),
  },
  { noNullPrototype: true },
);

test('a cursor comes back as the position that it was made of', () => {
  fc.assert(
    fc.property(fc.string(), position, (listing, at) => {
      const text = encodeCursor(listing, at);
      assert.match(text, /^[A-Za-z0-9_-]{18,44}$/);
      assert.deepEqual(decodeCursor(listing, text), at);
    }),
  );
});

test('no other listing takes it', () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), position, (one, other, at) => {
      fc.pre(one !== other);
      assert.throws(
        () => decodeCursor(other, encodeCursor(one, at)),
        (e) => isWritError(e, 'bad_cursor'),
      );
    }),
  );
});

test('whatever else comes in is refused, never a crash', () => {
  const good = encodeCursor('list', { partition: 7, key: new Uint8Array(8) });
  const inputs = fc.oneof(
    fc.string(),
    fc.base64String(),
    fc.integer({ min: 19, max: good.length - 1 }).map((at) => good.slice(0, at)),
    fc.nat(17).map((at) => `${good.slice(0, at)}!${good.slice(at + 1)}`),
    fc.constantFrom(`${good}=`, ` ${good}`, `${good}\n`, good + good),
  );
  fc.assert(
    fc.property(inputs, (text) => {
      assert.throws(
        () => decodeCursor('list', text),
        (e) => isWritError(e, 'bad_cursor') && e.field === '/cursor',
      );
    }),
  );
});
