import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isWritError } from '../base/error.ts';
import { finish, openDer } from './reader.ts';
import { GENERALIZED_TIME, UTC_TIME } from './tag.ts';
import { encodeGeneralizedTime, encodeTime, readGeneralizedTime, readTime } from './time.ts';
import { encode } from './writer.ts';

const utc = (text: string) => encode(UTC_TIME, new TextEncoder().encode(text));
const generalized = (text: string) => encode(GENERALIZED_TIME, new TextEncoder().encode(text));

function read(der: Uint8Array): number {
  const cursor = openDer(der, 'x');
  const ms = readTime(cursor, 'time');
  finish(cursor);
  return ms;
}

const BOTH: readonly [iso: string, der: Uint8Array][] = [
  ['1950-01-01T00:00:00Z', utc('500101000000Z')],
  ['1970-01-01T00:00:00Z', utc('700101000000Z')],
  ['2000-02-29T23:59:59Z', utc('000229235959Z')],
  ['2049-12-31T23:59:59Z', utc('491231235959Z')],
  ['2050-01-01T00:00:00Z', generalized('20500101000000Z')],
  ['2400-02-29T00:00:00Z', generalized('24000229000000Z')],
  ['9999-12-31T23:59:59Z', generalized('99991231235959Z')],
];

for (const [iso, der] of BOTH) {
  test(`${iso} both ways`, () => {
    assert.equal(read(der), Date.parse(iso));
    assert.deepEqual(encodeTime(Date.parse(iso)), der);
  });
}

const REFUSED: readonly [name: string, der: Uint8Array][] = [
  ['UTCTime without seconds', utc('5001010000Z')],
  ['UTCTime with an offset', utc('500101000000+0000')],
  ['UTCTime without Z', utc('500101000000z')],
  ['UTCTime with a letter', utc('50010100000aZ')],
  ['UTCTime in February 29 of a common year', utc('010229000000Z')],
  ['month 0', utc('500001000000Z')],
  ['month 13', utc('501301000000Z')],
  ['day 0', utc('500100000000Z')],
  ['April 31', utc('500431000000Z')],
  ['hour 24', utc('500101240000Z')],
  ['minute 60', utc('500101006000Z')],
  ['a leap second', utc('161231235960Z')],
  ['GeneralizedTime before 2050', generalized('20491231235959Z')],
  ['GeneralizedTime with a fraction', generalized('20500101000000.5Z')],
  ['GeneralizedTime in 2100-02-29', generalized('21000229000000Z')],
  ['another type', encode(0x13, new TextEncoder().encode('500101000000Z'))],
];

for (const [name, der] of REFUSED) {
  test(`refused: ${name}`, () =>
    assert.throws(
      () => read(der),
      (error) => isWritError(error, 'bad_der'),
    ));
}

for (const ms of [Date.UTC(1949, 11, 31), Date.UTC(10000, 0, 1), 1, Number.NaN, Number.POSITIVE_INFINITY]) {
  test(`not written: ${ms}`, () =>
    assert.throws(
      () => encodeTime(ms),
      (error) => isWritError(error, 'bad_der'),
    ));
}

test('GeneralizedTime is read and written whatever the year where a structure has no UTCTime', () => {
  const der = generalized('20000101000000Z');
  assert.equal(readGeneralizedTime(openDer(der, 'x'), 'time'), Date.UTC(2000, 0, 1));
  assert.deepEqual(encodeGeneralizedTime(Date.UTC(2000, 0, 1)), der);
});

test('every second that can be written is read back as Date has it', () => {
  const second = fc.integer({ min: Date.UTC(1950, 0, 1) / 1000, max: Date.UTC(9999, 11, 31, 23, 59, 59) / 1000 });
  fc.assert(
    fc.property(second, (s) => assert.equal(read(encodeTime(s * 1000)), s * 1000)),
    { numRuns: 500 },
  );
});
