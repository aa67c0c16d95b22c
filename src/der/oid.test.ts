import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isWritError } from '../base/error.ts';
import { encodeOidContent, readOid } from './oid.ts';
import { openDer } from './reader.ts';
import { OBJECT_IDENTIFIER } from './tag.ts';
import { encode, oid } from './writer.ts';

const read = (der: Uint8Array) => readOid(openDer(der, 'x'), 'y');
const content = (hex: string) => encode(OBJECT_IDENTIFIER, new Uint8Array(Buffer.from(hex, 'hex')));

const WRITTEN: readonly [dotted: string, hex: string][] = [
  ['0.0', '00'],
  ['1.39', '4f'],
  ['2.0', '50'],
  ['2.5.29.15', '551d0f'],
  ['2.5.29.128', '551d8100'],
  ['2.999.3', '883703'], // X.690 §8.19.5
  ['1.2.840.113549.1.1.11', '2a864886f70d01010b'],
  ['2.5.2147483647', '5587ffffff7f'],
];

for (const [dotted, hex] of WRITTEN) {
  test(`${dotted} both ways`, () => {
    assert.equal(Buffer.from(encodeOidContent(dotted)).toString('hex'), hex);
    assert.equal(read(content(hex)), dotted);
  });
}

/** Base 128, the simple way. */
function base128(value: bigint): number[] {
  const groups = [Number(value & 0x7fn)];
  for (let rest = value >> 7n; rest > 0n; rest >>= 7n) groups.unshift(Number(rest & 0x7fn) | 0x80);
  return groups;
}

test('arcs of any size are read exactly', () => {
  const arc = fc.oneof(
    fc.bigInt({ min: 0n, max: 1n << 130n }),
    fc.constantFrom(31n, 32n, 53n, 64n).map((n) => 1n << n),
  );
  fc.assert(
    fc.property(arc, arc, (second, third) => {
      const der = encode(OBJECT_IDENTIFIER, Uint8Array.from([...base128(second + 80n), ...base128(third)]));
      assert.equal(read(der), `2.${second}.${third}`);
    }),
  );
});

const REFUSED: readonly [name: string, hex: string][] = [
  ['no octets', ''],
  ['an arc that ends early', '2a86'],
  ['an arc with a leading zero group', '2a8001'],
  ['a first arc with a leading zero group', '8055'],
  ['129 octets', `2a${'01'.repeat(128)}`],
];

for (const [name, hex] of REFUSED) {
  test(`refused: ${name}`, () =>
    assert.throws(
      () => read(content(hex)),
      (error) => isWritError(error, 'bad_der'),
    ));
}

for (const dotted of [
  '',
  '1',
  '3.1',
  '0.40',
  '1.40',
  '1.2.',
  '1..2',
  '1.02',
  '1.2.x',
  '1.2.2147483648',
  '2.2147483648',
]) {
  test(`not written: "${dotted}"`, () =>
    assert.throws(
      () => encodeOidContent(dotted),
      (error) => isWritError(error, 'bad_der'),
    ));
}

test('what is written is read back', () => {
  const arc = fc.integer({ min: 0, max: 0x7fff_ffff });
  const first = fc.oneof(
    fc.tuple(fc.constantFrom(0, 1), fc.integer({ min: 0, max: 39 })),
    fc.tuple(fc.constant(2), fc.integer({ min: 0, max: 0x7fff_ffff - 80 })),
  );
  fc.assert(
    fc.property(first, fc.array(arc, { maxLength: 12 }), (head, rest) => {
      const dotted = [...head, ...rest].join('.');
      assert.equal(read(oid(dotted)), dotted);
    }),
  );
});
