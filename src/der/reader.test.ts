import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isWritError, WritError } from '../base/error.ts';
import {
  type Cursor,
  enterSequence,
  finish,
  openDer,
  openSequence,
  readAny,
  readBitString,
  readBitStringOctets,
  readBoolean,
  readEnumerated,
  readInteger,
  readNull,
  readOctetString,
  readSmallInteger,
} from './reader.ts';
import { SEQUENCE } from './tag.ts';
import { encode, integer, octetString, sequence } from './writer.ts';

const bytes = (hex: string) => new Uint8Array(Buffer.from(hex.replaceAll(' ', ''), 'hex'));

/** Reads one value and demands the end, as a parser of a whole encoding does. */
function readOne<T>(hex: string, read: (cursor: Cursor) => T): T {
  const cursor = openDer(bytes(hex), 'test');
  const value = read(cursor);
  finish(cursor);
  return value;
}

const any = (cursor: Cursor) => readAny(cursor, 'x');
const int = (cursor: Cursor) => Buffer.from(readInteger(cursor, 'x')).toString('hex');
const small = (cursor: Cursor) => readSmallInteger(cursor, 'x', 300);
const bool = (cursor: Cursor) => readBoolean(cursor, 'x');
const bits = (cursor: Cursor) => readBitString(cursor, 'x');
const octets = (cursor: Cursor) => readOctetString(cursor, 'x').length;

const REFUSED: readonly [name: string, hex: string, read: (cursor: Cursor) => unknown, fault: RegExp][] = [
  ['nothing at all', '', any, /missing/],
  ['tag without length', '04', any, /truncated before the length/],
  ['indefinite length', '3080 0000', any, /indefinite/],
  ['content shorter than its length', '0402 ff', octets, /truncated: the length exceeds/],
  ['length of length cut off', '0482 01', octets, /truncated within the length/],
  ['length in five octets', '0485 0000000001 ff', octets, /more than four octets/],
  ['long form below 128', '0481 01 ff', octets, /fewest octets/],
  ['long form with a leading zero octet', `0482 00ff ${'00'.repeat(255)}`, octets, /fewest octets/],
  ['length beyond 2^31', '0484 ffffffff', octets, /truncated: the length exceeds/],
  ['another tag', '0500', octets, /found NULL where OCTET STRING/],
  ['constructed OCTET STRING', '2403 0401 ff', octets, /found tag 0x24 where OCTET STRING/],
  ['high tag number', '1f8101 00', any, /tag number above 30/],
  ['trailing byte', '0401 ff 00', octets, /unexpected bytes/],
  ['INTEGER without octets', '0200', int, /without octets/],
  ['INTEGER with a superfluous 00', '0202 007f', int, /fewest octets/],
  ['INTEGER with a superfluous ff', '0202 ff80', int, /fewest octets/],
  ['small INTEGER above its limit', '0202 012d', small, /not within 0 … 300/],
  ['small INTEGER that is negative', '0201 ff', small, /not within/],
  ['small INTEGER of five octets', '0205 0100000000', small, /not within/],
  ['BOOLEAN 0x01', '0101 01', bool, /neither 0x00 nor 0xff/],
  ['BOOLEAN of two octets', '0102 ffff', bool, /not one octet/],
  ['BOOLEAN of none', '0100', bool, /not one octet/],
  ['BIT STRING without octets', '0300', bits, /count of unused bits/],
  ['BIT STRING with 8 unused bits', '0302 08 00', bits, /impossible count/],
  ['empty BIT STRING with unused bits', '0301 01', bits, /impossible count/],
  ['BIT STRING with an unused bit set', '0302 01 81', bits, /unused bits not zero/],
  ['octets in a BIT STRING of 7 bits', '0302 01 80', (c) => readBitStringOctets(c, 'x'), /whole number of octets/],
  ['NULL with content', '0501 00', (c) => readNull(c, 'x'), /NULL with content/],
  ['ENUMERATED above its limit', '0a01 0b', (c) => readEnumerated(c, 'x', 10), /not within 0 … 10/],
];

for (const [name, hex, read, fault] of REFUSED) {
  test(`refused: ${name}`, () => {
    assert.throws(
      () => readOne(hex, read),
      (error) => isWritError(error, 'bad_der') && fault.test(error.message) && /, offset \d+$/.test(error.field ?? ''),
    );
  });
}

const READ: readonly [name: string, hex: string, read: (cursor: Cursor) => unknown, want: unknown][] = [
  ['INTEGER 0', '0201 00', int, '00'],
  ['INTEGER -1', '0201 ff', int, 'ff'],
  ['INTEGER 128 with its sign octet', '0202 0080', int, '0080'],
  ['INTEGER -129', '0202 ff7f', int, 'ff7f'],
  ['small INTEGER at its limit', '0202 012c', small, 300],
  ['BOOLEAN TRUE', '0101 ff', bool, true],
  ['BOOLEAN FALSE', '0101 00', bool, false],
  ['empty BIT STRING', '0301 00', bits, { bytes: new Uint8Array(0), unused: 0 }],
  ['BIT STRING of 7 bits', '0302 01 82', bits, { bytes: bytes('82'), unused: 1 }],
  ['OCTET STRING of 128 octets', `0481 80 ${'00'.repeat(128)}`, octets, 128],
  ['OCTET STRING of 256 octets', `0482 0100 ${'00'.repeat(256)}`, octets, 256],
];

for (const [name, hex, read, want] of READ) {
  test(`read: ${name}`, () => assert.deepEqual(readOne(hex, read), want));
}

test('a value is a view of what was parsed', () => {
  const der = bytes('0403 010203');
  const value = readOctetString(openDer(der, 'x'), 'y');
  assert.equal(value.buffer, der.buffer);
  assert.equal(value.byteOffset, 2);
});

test('an error names the path from the outermost structure and the offset in it', () => {
  const der = sequence(integer(1), sequence(integer(2), encode(0x01, Uint8Array.of(7))));
  const outer = openSequence(der, 'outer');
  readInteger(outer, 'first');
  const inner = enterSequence(outer, 'inner');
  readInteger(inner, 'second');
  assert.throws(
    () => readBoolean(inner, 'third'),
    (error) => error instanceof WritError && error.field === 'outer.inner.third, offset 12',
  );
});

test('an encoding beyond the limit is not looked at', () => {
  assert.throws(
    () => openDer(new Uint8Array(17), 'x', 16),
    (error) => isWritError(error, 'too_large') && error.field === 'x',
  );
});

test('whatever length a value has, its header is read back', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 70_000 }), (length) => {
      const cursor = openDer(octetString(new Uint8Array(length)), 'x', 100_000);
      assert.equal(readOctetString(cursor, 'y').length, length);
      finish(cursor);
    }),
    { numRuns: 60 },
  );
});

test('nesting of any depth is stepped over in linear time, without recursion', () => {
  let der: Uint8Array = new Uint8Array(0);
  for (let depth = 0; depth < 10_000; depth++) der = encode(SEQUENCE, der.subarray(0, 30_000));
  assert.equal(readAny(openDer(der, 'x'), 'y').length, der.length);
});
