import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isWritError } from '../base/error.ts';
import { backward, prepend, prependHeader, written } from './backward.ts';
import { OCTET_STRING, SEQUENCE } from './tag.ts';
import { encode, octetString, sequence } from './writer.ts';

test('what is written backward is what is written forward', () => {
  const part = fc.uint8Array({ maxLength: 300 });
  fc.assert(
    fc.property(part, part, part, (first, second, third) => {
      const out = backward(1000);
      const end = out.at;
      prepend(out, third);
      prependHeader(out, OCTET_STRING, end);
      const inner = out.at;
      prepend(out, second);
      prepend(out, first);
      prependHeader(out, SEQUENCE, inner);
      prependHeader(out, SEQUENCE, end);
      assert.deepEqual(written(out), sequence(encode(SEQUENCE, first, second), octetString(third)));
    }),
  );
});

test('an encoding that the buffer does not hold is a defect, not a shorter encoding', () => {
  const out = backward(4);
  prepend(out, new Uint8Array(3));
  assert.throws(
    () => prependHeader(out, SEQUENCE, 4),
    (error) => isWritError(error, 'internal'),
  );
  assert.throws(
    () => prepend(out, new Uint8Array(2)),
    (error) => isWritError(error, 'internal'),
  );
});
