import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isWritError } from '../base/error.ts';
import { parseJsonObject } from './json.ts';

const bytes = (text: string): Uint8Array => Buffer.from(text, 'utf8');

const refused: [string, Uint8Array][] = [
  ['nothing', bytes('')],
  ['half an object', bytes('{"a":')],
  ['trailing text', bytes('{} x')],
  ['two objects', bytes('{}{}')],
  ['a list', bytes('[]')],
  ['null', bytes('null')],
  ['a number', bytes('1')],
  ['a comment', bytes('{} // x')],
  ['a trailing comma', bytes('{"a":1,}')],
  ['NaN', bytes('{"a":NaN}')],
  ['a byte order mark', bytes('\ufeff{}')],
  ['UTF-16', Buffer.from('{}', 'utf16le')],
  ['a broken octet', new Uint8Array([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])],
  ['a name twice', bytes('{"a":1,"a":1}')],
  ['a name twice, once escaped', bytes('{"a":1,"\\u0061":2}')],
  ['a name twice with space before the colon', bytes('{"a" \n\t\r:1,"a":1}')],
  ['a name twice within', bytes('{"x":[{"b":{"a":1,"c":2,"a":3}}]}')],
  ['a name twice beside odd strings', bytes('{"\\\\":"\\"a\\":","a":1,"a":"\\\\\\""}')],
  ['__proto__ twice', bytes('{"__proto__":1,"__proto__":2}')],
  ['deep nesting', bytes(`{"a":${'['.repeat(20)}${']'.repeat(20)}}`)],
  ['very deep nesting', bytes(`{"a":${'['.repeat(30_000)}${']'.repeat(30_000)}}`)],
];

for (const [name, body] of refused) {
  test(`refuses ${name}`, () =>
    assert.throws(
      () => parseJsonObject(body),
      (error) => isWritError(error, 'bad_request'),
    ));
}

test('gives back what it was given', () => {
  fc.assert(
    fc.property(
      fc.dictionary(fc.string({ unit: 'grapheme' }), fc.jsonValue({ maxDepth: 6 })),
      fc.boolean(),
      (value, spaced) => {
        const text = JSON.stringify(value, undefined, spaced ? 2 : undefined);
        assert.deepEqual(parseJsonObject(bytes(text)), JSON.parse(text));
      },
    ),
  );
});

test('finds a repeated name wherever it stands', () => {
  const name = fc.string({ maxLength: 5 });
  fc.assert(
    fc.property(fc.dictionary(name, fc.string()), name, fc.string(), (value, again, text) => {
      const members = Object.entries({ ...value, [again]: text }).map((one) =>
        one.map((part) => JSON.stringify(part)).join(' : '),
      );
      members.push(`${JSON.stringify(again)}:0`);
      assert.throws(() => parseJsonObject(bytes(`{"x":[{${members.join(',')}}]}`)));
    }),
  );
});
