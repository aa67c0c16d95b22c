import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isWritError } from '../base/error.ts';
import { encodeFrame, FrameReader } from './frame.ts';

test('messages come out as they went in, however the body is cut', () => {
  const messages = fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 8 });
  fc.assert(
    fc.property(messages, fc.array(fc.nat(9), { minLength: 1, maxLength: 50 }), (sent, cuts) => {
      const body = Buffer.concat(sent.map(encodeFrame));
      const reader = new FrameReader(40);
      const got: Uint8Array[] = [];
      for (let at = 0, i = 0; at < body.length; i++) {
        const step = 1 + cuts[i % cuts.length]!;
        got.push(...reader.push(body.subarray(at, at + step)));
        at += step;
      }
      reader.end();
      assert.deepEqual(
        got.map((one) => [...one]),
        sent.map((one) => [...one]),
      );
    }),
  );
});

test('a body that ends within a message, a compressed message and one that is too large are refused', () => {
  const cut = new FrameReader(10);
  assert.deepEqual(cut.push(encodeFrame(new Uint8Array(10)).subarray(0, -1)), []);
  assert.throws(
    () => cut.end(),
    (error) => isWritError(error, 'bad_request'),
  );
  const compressed = encodeFrame(new Uint8Array(1));
  compressed[0] = 1;
  assert.throws(
    () => new FrameReader(10).push(compressed),
    (error) => isWritError(error, 'bad_request'),
  );
  // Refused by its prefix, before any of it is kept.
  assert.throws(
    () => new FrameReader(10).push(Uint8Array.of(0, 0, 0, 0, 11)),
    (error) => isWritError(error, 'too_large'),
  );
});
