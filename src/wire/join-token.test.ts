import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isWritError } from '../base/error.ts';
import { formatJoinToken, parseJoinToken } from './join-token.ts';

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const token = fc.record({
  rootFingerprint: bytes(32),
  id: bytes(16),
  secret: bytes(20),
  address: fc.constantFrom('localhost:8443', '10.0.0.1:1', '[::1]:65535', 'a.b-c.example:443'),
});
const refused = (text: string) =>
  assert.throws(
    () => parseJoinToken(text),
    (error) =>
      isWritError(error, 'bad_token') &&
      (text.length < 40 || !`${error.message}${error.remedy}`.includes(text.slice(12, 40))),
  );

test('what is made is read back', () => {
  fc.assert(
    fc.property(token, (made) => {
      const read = parseJoinToken(` ${formatJoinToken(made)}\n`);
      assert.equal(read.address, made.address);
      for (const key of ['rootFingerprint', 'id', 'secret'] as const) assert.deepEqual([...read[key]], [...made[key]]);
    }),
  );
});

test('a cut, extended or mistyped token is refused without being repeated', () => {
  fc.assert(
    fc.property(token, fc.nat(), fc.constantFrom('A', 'b', '-', '=', ' ', '\0'), (made, place, typed) => {
      const text = formatJoinToken(made);
      const at = 12 + (place % (text.length - 12));
      refused(text.slice(0, at));
      refused(`${text}AAAA`);
      if (text[at] !== typed) refused(text.slice(0, at) + typed + text.slice(at + 1));
    }),
  );
});

test('what is no token', () => {
  for (const text of ['', 'writ-join-1-', 'writ-join-2-AAAA', 'hello', `writ-join-1-${'A'.repeat(5000)}`])
    refused(text);
});
