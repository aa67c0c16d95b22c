import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { isWritError } from '../base/error.ts';
import { derOfBer } from './ber.ts';
import { encodeList, headerLength } from './writer.ts';

const hex = (text: string): Uint8Array => Buffer.from(text.replace(/ /g, ''), 'hex');
const der = (text: string): string => Buffer.from(derOfBer(hex(text), 'test')).toString('hex');

describe('what DER writes in one way', () => {
  const cases: readonly { name: string; ber: string; want: string }[] = [
    { name: 'DER itself', ber: '30 05 02 01 05 05 00', want: '3005020105 0500' },
    { name: 'an indefinite length', ber: '30 80 02 01 05 00 00', want: '3003020105' },
    { name: 'one within another', ber: 'a0 80 30 80 02 01 05 00 00 00 00', want: 'a0053003020105' },
    { name: 'a length in too many octets', ber: '30 84 00 00 00 04 02 81 01 05', want: '3003020105' },
    { name: 'an octet string in pieces', ber: '24 80 04 02 61 62 04 01 63 00 00', want: '0403616263' },
    {
      name: 'pieces of pieces',
      ber: '24 0a 24 80 04 01 61 00 00 04 01 62',
      want: '04026162',
    },
    { name: 'an octet string without pieces', ber: '24 80 00 00', want: '0400' },
    { name: 'a long one', ber: `24 80 04 81 80 ${'61'.repeat(128)} 00 00`, want: `048180${'61'.repeat(128)}` },
    { name: 'zeros that end nothing', ber: '30 80 04 02 00 00 00 00', want: '300404020000' },
  ];
  for (const { name, ber, want } of cases) test(name, () => assert.equal(der(ber), want.replace(/ /g, '')));
});

describe('what is no value', () => {
  const cases: readonly { name: string; ber: string }[] = [
    { name: 'nothing', ber: '' },
    { name: 'a tag alone', ber: '30' },
    { name: 'no end', ber: '30 80 02 01 05' },
    { name: 'half an end', ber: '30 80 02 01 05 00' },
    { name: 'more than one', ber: '05 00 05 00' },
    { name: 'a length beyond the end', ber: '30 03 02 01' },
    { name: 'a part that is longer than the whole', ber: '30 03 02 02 05 05' },
    { name: 'an end within a definite length', ber: '30 02 00 00 00' },
    { name: 'a primitive value of indefinite length', ber: '04 80 61 00 00' },
    { name: 'a length in five octets', ber: '04 85 00 00 00 00 00' },
    { name: 'a tag of several octets', ber: '1f 01 00' },
    { name: 'an octet string with another piece', ber: '24 03 02 01 05' },
    { name: 'a text in pieces', ber: '2c 03 0c 01 61' },
    { name: 'too deep', ber: `${'30 80 '.repeat(40)}${'00 00 '.repeat(40)}` },
    { name: 'too many', ber: `30 80 ${'05 00 '.repeat(9000)}00 00` },
  ];
  for (const { name, ber } of cases) {
    test(name, () =>
      assert.throws(
        () => der(ber),
        (error) => isWritError(error, 'bad_der'),
      ),
    );
  }

  test('too long', () => {
    assert.throws(
      () => derOfBer(new Uint8Array(70_000), 'test'),
      (error) => isWritError(error, 'too_large'),
    );
  });
});

/** A tree written as BER in some way, and as DER. */
interface Written {
  readonly ber: Uint8Array;
  readonly der: Uint8Array;
}

test('however it is written, the same comes out', () => {
  const leaf = fc.uint8Array({ maxLength: 200 }).map((content): Written => {
    const both = encodeList(0x04, [content]);
    return { ber: both, der: both };
  });
  const pieces = fc.array(leaf, { maxLength: 4 }).map(
    (parts): Written => ({
      ber: Buffer.concat([hex('24 80'), ...parts.map(({ ber }) => ber), hex('00 00')]),
      der: encodeList(
        0x04,
        parts.map(({ der: one }) => one.subarray(headerLength(one.length < 130 ? one.length - 2 : one.length - 3))),
      ),
    }),
  );
  const { tree } = fc.letrec<{ tree: Written }>((tie) => ({
    tree: fc.oneof(
      { maxDepth: 5 },
      leaf,
      pieces,
      fc.tuple(fc.constantFrom(0x30, 0x31, 0xa0), fc.boolean(), fc.array(tie('tree'), { maxLength: 4 })).map(
        ([tag, indefinite, parts]): Written => ({
          ber: indefinite
            ? Buffer.concat([Uint8Array.of(tag, 0x80), ...parts.map(({ ber }) => ber), hex('00 00')])
            : encodeList(
                tag,
                parts.map(({ ber }) => ber),
              ),
          der: encodeList(
            tag,
            parts.map(({ der: one }) => one),
          ),
        }),
      ),
    ),
  }));
  fc.assert(
    fc.property(tree, ({ ber, der: want }) => {
      assert.deepEqual(Buffer.from(derOfBer(ber, 'test')), Buffer.from(want));
      assert.deepEqual(Buffer.from(derOfBer(want, 'test')), Buffer.from(want));
    }),
    { numRuns: 300 },
  );
});
