import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isWritError } from '../../base/error.ts';
import { systemRandom } from '../../base/random.ts';
import { formatSerial, makeSerial, parseSerial, readSerial } from './serial.ts';

const random = systemRandom();
const moment = fc.integer({ min: 2 ** 40, max: 2 ** 46 });
const lifetime = fc.integer({ min: 1, max: 2 ** 32 - 1 });

test('the layout is the one of every certificate that was ever issued', () => {
  const serial = makeSerial(Date.UTC(2026, 10, 22, 14, 3, 22, 1), 3600, (size) => new Uint8Array(size).fill(0xab));
  assert.equal(formatSerial(serial), '01a203c8829100000e10abababababababababab');
});

test('gives back expiry, lifetime and issue time to the millisecond', () => {
  fc.assert(
    fc.property(moment, lifetime, (issuedAt, seconds) => {
      const serial = makeSerial(issuedAt, seconds, random);
      assert.equal(serial.length, 20);
      assert.ok(serial[0]! > 0 && serial[0]! < 0x80);
      assert.deepEqual(readSerial(serial), { issuedAt, expiresAt: issuedAt + seconds * 1000, lifetime: seconds });
    }),
  );
});

test('later expiries sort later, so that rows are added at the right edge', () => {
  fc.assert(
    fc.property(moment, moment, lifetime, (a, b, seconds) => {
      const [x, y] = [makeSerial(a, seconds, random), makeSerial(b, seconds, random)];
      if (a !== b) assert.equal(Buffer.compare(x, y), Math.sign(a - b));
    }),
  );
});

test('what is drawn is drawn in full: no two of many share a random octet run', () => {
  const tails = Array.from({ length: 2000 }, () => formatSerial(makeSerial(2 ** 41, 3600, random)).slice(20));
  assert.equal(new Set(tails).size, tails.length);
  assert.equal(new Set(tails.map((tail) => tail.slice(0, 10))).size, tails.length);
  assert.equal(new Set(tails.map((tail) => tail.slice(10))).size, tails.length);
});

test('times that do not fit are the clock, not a wrong number', () => {
  const table: [number, number][] = [
    [2 ** 40 - 1, 3600],
    [2 ** 47, 3600],
    [2 ** 41, 0],
    [2 ** 41, -1],
    [2 ** 41, 0.5],
    [2 ** 41, 2 ** 32],
    [Number.NaN, 3600],
  ];
  for (const [issuedAt, seconds] of table) {
    assert.throws(
      () => makeSerial(issuedAt, seconds, random),
      (error) => isWritError(error, 'clock'),
      `${issuedAt}, ${seconds}`,
    );
  }
});

test('reads serial numbers as people paste them, and nothing else', () => {
  const serial = makeSerial(2 ** 41 - 3_600_000, 3600, random);
  const text = formatSerial(serial);
  const colons = text.toUpperCase().match(/../g)!.join(':');
  for (const pasted of [text, text.toUpperCase(), colons, text.slice(1)]) {
    assert.deepEqual(parseSerial(pasted, 'SERIAL'), serial, pasted);
  }
  const bad = ['', 'x', text.slice(2), `${text}00`, `0x${text}`, `${text.slice(0, -1)}g`, `ff${text.slice(2)}`];
  for (const pasted of [...bad, '0'.repeat(40), `${text.slice(0, 12)}00000000${text.slice(20)}`, ':'.repeat(100_000)]) {
    assert.throws(
      () => parseSerial(pasted, 'SERIAL'),
      (error) => isWritError(error, 'bad_request') && error.field === 'SERIAL',
      pasted.slice(0, 50),
    );
  }
});

test('octets of other lengths and forms are no serial number of ours', () => {
  for (const foreign of [new Uint8Array(0), new Uint8Array(16).fill(1), new Uint8Array(21).fill(1)]) {
    assert.equal(readSerial(foreign), undefined);
  }
});
