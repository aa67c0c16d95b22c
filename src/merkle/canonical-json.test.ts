import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { type CanonicalValue, canonicalJson, parseCanonicalJson } from './canonical-json.ts';

const values: fc.Arbitrary<CanonicalValue> = fc.letrec<{ value: CanonicalValue }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.string({ unit: 'grapheme' }),
    fc.maxSafeInteger(),
    fc.boolean(),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(fc.string({ unit: 'grapheme' }), tie('value'), { maxKeys: 4 }),
  ),
})).value;

describe('canonicalJson', () => {
  const cases: [name: string, value: CanonicalValue, want: string][] = [
    // RFC 8785 §3.2.3: members sorted by UTF-16 code units.
    [
      'the sorting example',
      {
        '\u20ac': 'Euro Sign',
        '\r': 'Carriage Return',
        '\ufb33': 'Hebrew Letter Dalet With Dagesh',
        '1': 'One',
        '\ud83d\ude00': 'Emoji: Grinning Face',
        '\u0080': 'Control',
        '\u00f6': 'Latin Small Letter O With Diaeresis',
      },
      '{"\\r":"Carriage Return","1":"One","\u0080":"Control","\u00f6":"Latin Small Letter O With Diaeresis",' +
        '"\u20ac":"Euro Sign","\ud83d\ude00":"Emoji: Grinning Face","\ufb33":"Hebrew Letter Dalet With Dagesh"}',
    ],
    // RFC 8785 §3.2.2: the string of the sample object.
    ['the string example', '\u20ac$\u000F\u000aA\'\u0042\u0022\u005c\\"/', '"\u20ac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"'],
    ['control characters', '\b\t\n\f\r\u0001\u007f', '"\\b\\t\\n\\f\\r\\u0001\u007f"'],
    ['the largest integers', [9007199254740991, -9007199254740991, 0], '[9007199254740991,-9007199254740991,0]'],
    ['minus zero', -0, '0'],
    ['nothing', [{}, [], ''], '[{},[],""]'],
    ['a member that looks like machinery', JSON.parse('{"__proto__":1}'), '{"__proto__":1}'],
  ];
  for (const [name, value, want] of cases) {
    it(`writes ${name}`, () => {
      assert.equal(canonicalJson(value), want);
      assert.equal(canonicalJson(parseCanonicalJson(Buffer.from(want))), want);
    });
  }

  const refused: [name: string, value: unknown][] = [
    ['a fraction', 0.5],
    ['an unsafe integer', 9007199254740992],
    ['infinity', Number.POSITIVE_INFINITY],
    ['null', { a: null }],
    ['undefined', { a: undefined }],
    ['a bigint', 1n],
    ['a lone surrogate', 'a\ud800'],
    ['a lone surrogate in a name', { '\udc00': 1 }],
    ['nesting beyond 32', Array.from({ length: 32 }).reduce<unknown>((inner) => [inner], [])],
  ];
  for (const [name, value] of refused) {
    it(`refuses ${name}`, () => {
      assert.throws(() => canonicalJson(value as CanonicalValue), { code: 'bad_request' });
    });
  }

  it('gives one text for each value, which reads as that value', () => {
    fc.assert(
      fc.property(values, (value) => {
        const text = canonicalJson(value);
        assert.equal(canonicalJson(parseCanonicalJson(Buffer.from(text))), text);
        assert.deepEqual(JSON.parse(text), JSON.parse(JSON.stringify(value)));
      }),
    );
  });
});

describe('parseCanonicalJson', () => {
  const refused: [name: string, text: string | Uint8Array][] = [
    ['nothing', ''],
    ['white space', '{"a": 1}'],
    ['a line feed behind it', '{}\n'],
    ['unsorted members', '{"b":1,"a":2}'],
    ['a member twice', '{"a":1,"a":1}'],
    ['another escape', '"\\u0041"'],
    ['an upper-case escape', '"\\u000F"'],
    ['an escaped slash', '"\\/"'],
    ['another number form', '[1.0]'],
    ['an exponent', '[1e2]'],
    ['minus zero', '-0'],
    ['null', 'null'],
    ['a byte order mark', '\ufeff{}'],
    ['octets that are not UTF-8', Buffer.from([0x22, 0xff, 0x22])],
    ['nesting without end', '['.repeat(60_000)],
  ];
  for (const [name, text] of refused) {
    it(`refuses ${name}`, () => {
      assert.throws(() => parseCanonicalJson(Buffer.from(text)), { code: 'bad_request' });
    });
  }

  it('refuses every truncation and every text with something behind it', () => {
    fc.assert(
      fc.property(values, (value) => {
        const bytes = Buffer.from(canonicalJson({ value }));
        for (let end = 0; end < bytes.length; end++) {
          assert.throws(() => parseCanonicalJson(bytes.subarray(0, end)), { code: 'bad_request' });
        }
        assert.throws(() => parseCanonicalJson(Buffer.concat([bytes, Buffer.from(' ')])), { code: 'bad_request' });
      }),
      { numRuns: 40 },
    );
  });
});
