import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isWritError } from '../base/error.ts';
import { decodeCursor, encodeCursor, pageLimit } from './cursor.ts';

const refused = (text: string) =>
  assert.throws(
    () => decodeCursor(text, 'agents', {}, ['string', 'number']),
    (error) => isWritError(error, 'bad_cursor') && error.field === '?cursor',
    text,
  );

test('a position comes back', () => {
  const filters = { team: 'research', status: undefined };
  fc.assert(
    fc.property(fc.string({ maxLength: 40 }), fc.maxSafeNat(), (text, number) => {
      const cursor = encodeCursor('agents', filters, [text, number]);
      assert.match(cursor, /^[A-Za-z0-9_-]+$/);
      if (text.isWellFormed()) {
        assert.deepEqual(decodeCursor(cursor, 'agents', filters, ['string', 'number']), [text, number]);
      }
    }),
  );
});

test('an absent filter and an undefined one are the same, and order does not matter', () => {
  const cursor = encodeCursor('agents', { a: 1, b: 'x' }, ['p']);
  assert.deepEqual(decodeCursor(cursor, 'agents', { b: 'x', c: undefined, a: 1 }, ['string']), ['p']);
});

test('a cursor of another listing, filter or shape is refused', () => {
  refused(encodeCursor('tokens', {}, ['a', 1]));
  refused(encodeCursor('agents', { team: 'a' }, ['a', 1]));
  refused(encodeCursor('agents', {}, ['a']));
  refused(encodeCursor('agents', {}, ['a', 1, 2]));
  refused(encodeCursor('agents', {}, [1, 'a']));
  refused(encodeCursor('agents', {}, ['a', -1]));
  refused(encodeCursor('agents', {}, ['a', 1.5]));
});

test('whatever is no cursor is refused, never a crash', () => {
  const good = encodeCursor('agents', {}, ['a', 1]);
  assert.deepEqual(decodeCursor(good, 'agents', {}, ['string', 'number']), ['a', 1]);
  for (let cut = 0; cut < good.length; cut++) refused(good.slice(0, cut));
  for (const bad of ['', `${good}A`, `${good}=`, ` ${good}`, good.replace(/.$/, '!'), 'null', 'e30', 'x'.repeat(513)]) {
    refused(bad);
  }
  fc.assert(fc.property(fc.string(), refused));
  fc.assert(fc.property(fc.json(), (json) => refused(Buffer.from(json).toString('base64url'))));
});

test('limits', () => {
  assert.equal(pageLimit({}), 50);
  assert.equal(pageLimit({ limit: 200 }), 200);
  for (const limit of [0, -1, 201, 1.5, Number.NaN]) {
    assert.throws(
      () => pageLimit({ limit }),
      (error) => isWritError(error, 'bad_request'),
    );
  }
});
