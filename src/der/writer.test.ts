import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isWritError } from '../base/error.ts';
import { openDer, readBitString, readInteger, readSmallInteger } from './reader.ts';
import {
  bitString,
  boolean,
  compareEncodings,
  encode,
  enumerated,
  ia5String,
  integer,
  namedBits,
  nullValue,
  printableString,
  sequence,
  setOf,
  unsignedInteger,
  utf8String,
} from './writer.ts';

const hex = (der: Uint8Array) => Buffer.from(der).toString('hex');
const octets = (text: string) => new Uint8Array(Buffer.from(text, 'hex'));

const WRITTEN: readonly [name: string, der: Uint8Array, want: string][] = [
  ['INTEGER 0', integer(0), '020100'],
  ['INTEGER 127', integer(127), '02017f'],
  ['INTEGER 128', integer(128), '02020080'],
  ['INTEGER 2^53 - 1', integer(Number.MAX_SAFE_INTEGER), '02071fffffffffffff'],
  ['ENUMERATED', enumerated(9), '0a0109'],
  ['unsigned octets with leading zeros', unsignedInteger(octets('000000ff')), '020200ff'],
  ['unsigned octets that are all zero', unsignedInteger(octets('0000')), '020100'],
  ['no octets', unsignedInteger(octets('')), '020100'],
  ['TRUE', boolean(true), '0101ff'],
  ['FALSE', boolean(false), '010100'],
  ['NULL', nullValue(), '0500'],
  ['BIT STRING of octets', bitString(octets('8001')), '0303008001'],
  ['named bits without trailing zeros', namedBits([true, false, false]), '03020780'],
  ['named bits beyond one octet', namedBits([...Array(8).fill(false), true]), '0303070080'],
  ['no named bit', namedBits([false, false]), '030100'],
  ['SET OF in ascending order', setOf(integer(2), integer(300), integer(1)), '310a0201010201020202012c'],
  ['SEQUENCE in the order given', sequence(integer(2), integer(1)), '3006020102020101'],
  ['empty SEQUENCE', sequence(), '3000'],
  ['UTF8String', utf8String('é'), '0c02c3a9'],
  ['PrintableString', printableString('AT'), '13024154'],
  ['IA5String under another tag', ia5String('a', 0x82), '820161'],
];

for (const [name, der, want] of WRITTEN) {
  test(`written: ${name}`, () => assert.equal(hex(der), want));
}

const REFUSED: readonly [name: string, write: () => Uint8Array][] = [
  ['a negative INTEGER', () => integer(-1)],
  ['a fraction', () => integer(0.5)],
  ['an INTEGER beyond 2^53 - 1', () => integer(2 ** 53)],
  ['PrintableString with @', () => printableString('a@b')],
  ['IA5String beyond ASCII', () => ia5String('é')],
  ['a lone surrogate', () => utf8String('\ud800')],
];

for (const [name, write] of REFUSED) {
  test(`refused: ${name}`, () => assert.throws(write, (error) => isWritError(error, 'bad_der')));
}

const HEADERS: readonly [length: number, want: string][] = [
  [0, '0400'],
  [127, '047f'],
  [128, '048180'],
  [255, '0481ff'],
  [256, '04820100'],
  [65_535, '0482ffff'],
  [65_536, '0483010000'],
  [16_777_216, '048401000000'],
];

for (const [length, want] of HEADERS) {
  test(`header of ${length} octets`, () =>
    assert.equal(hex(encode(0x04, new Uint8Array(length)).subarray(0, want.length / 2)), want));
}

test('integers are read back', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 0x7fff_ffff }), (value) =>
      assert.equal(readSmallInteger(openDer(integer(value), 'x'), 'y'), value),
    ),
  );
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 40 }), (value) => {
      const read = readInteger(openDer(unsignedInteger(value), 'x'), 'y');
      assert.equal(BigInt(`0x${hex(read)}`), BigInt(`0x${hex(value)}`));
    }),
  );
});

test('named bits are read back', () => {
  fc.assert(
    fc.property(fc.array(fc.boolean(), { maxLength: 20 }), (set) => {
      const { bytes, unused } = readBitString(openDer(namedBits(set), 'x'), 'y');
      const read = [...bytes].flatMap((octet) => [...octet.toString(2).padStart(8, '0')]).map((bit) => bit === '1');
      assert.deepEqual(read.slice(0, read.length - unused), set.slice(0, set.lastIndexOf(true) + 1));
    }),
  );
});

test('a shorter encoding that is the beginning of a longer one comes first', () => {
  assert.ok(compareEncodings(octets('0101'), octets('010101')) < 0);
  assert.equal(compareEncodings(octets('0101'), octets('010100')), 0);
  assert.ok(compareEncodings(octets('02'), octets('0101')) > 0);
});
