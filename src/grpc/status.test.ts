import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { STATUS_CODES, type StatusName, statusOfTrailers, statusTrailers } from './status.ts';
import { formatTimeout, parseTimeout } from './timeout.ts';

test('a status comes back from its trailers, whatever its message', () => {
  const codes = Object.keys(STATUS_CODES) as StatusName[];
  const message = fc.string({ unit: 'grapheme', maxLength: 200 });
  fc.assert(
    fc.property(fc.constantFrom(...codes), message, (code, text) => {
      const trailers = statusTrailers({ code, message: text });
      assert.match(trailers['grpc-message'] ?? '', /^[\x20-\x7e]*$/);
      assert.deepEqual(statusOfTrailers(trailers), { code, message: text });
    }),
  );
});

test('what has no known status is unknown; broken escapes stay as they are', () => {
  assert.equal(statusOfTrailers({}).code, 'unknown');
  assert.equal(statusOfTrailers({ 'grpc-status': '17' }).code, 'unknown');
  assert.equal(statusOfTrailers({ 'grpc-status': '', 'grpc-message': '50%, %zz, %2' }).message, '50%, %zz, %2');
});

test('timeouts', () => {
  for (const [text, ms] of [
    ['1H', 3_600_000],
    ['2M', 120_000],
    ['3S', 3000],
    ['250m', 250],
    ['500u', 0.5],
    ['99999999H', 2 ** 31 - 1],
  ] as const) {
    assert.equal(parseTimeout(text), ms, text);
  }
  for (const text of ['', '1', 'm', '1s', '-1m', '1.5S', '123456789m', ' 1m']) {
    assert.equal(parseTimeout(text), undefined, text);
  }
  for (const ms of [0, 1, 999, 5000, 1e8, 1e9]) {
    assert.ok(parseTimeout(formatTimeout(ms))! >= Math.max(1, ms), `${ms}`);
  }
});
