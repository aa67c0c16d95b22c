import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isWritError } from '../base/error.ts';
import { encode, integer, oid, printableString, sequence, setOf, utf8String } from '../der/writer.ts';
import { encodeName, formatName, matchingRdns, namesMatch, parseName } from './name.ts';

const CN = oid('2.5.4.3');
const attribute = (value: Uint8Array) => setOf(sequence(CN, value));

test('a name is read as it was written', () => {
  const name = parseName(
    encodeName([
      ['C', 'AT'],
      ['O', 'Ünïcode'],
      ['DC', 'example'],
      ['CN', 'Root 1'],
    ]),
  );
  assert.deepEqual(
    name.rdns.map(([part]) => [part?.type, part?.text]),
    [
      ['2.5.4.6', 'AT'],
      ['2.5.4.10', 'Ünïcode'],
      ['0.9.2342.19200300.100.1.25', 'example'],
      ['2.5.4.3', 'Root 1'],
    ],
  );
  assert.equal(formatName(name), 'CN=Root 1,DC=example,O=Ünïcode,C=AT');
});

const REFUSED: readonly [name: string, der: Uint8Array][] = [
  ['an empty RDN', sequence(setOf())],
  ['an attribute without value', sequence(setOf(sequence(CN)))],
  ['an attribute with two values', sequence(setOf(sequence(CN, utf8String('a'), utf8String('b'))))],
  ['an RDN that is no SET', sequence(sequence(sequence(CN, utf8String('a'))))],
  ['text that its type does not have', sequence(attribute(encode(0x13, Uint8Array.of(0x40))))],
  [
    'an RDN out of order',
    sequence(encode(0x31, sequence(oid('2.5.4.10'), utf8String('b')), sequence(CN, utf8String('a')))),
  ],
  ['the same attribute twice', sequence(encode(0x31, sequence(CN, utf8String('a')), sequence(CN, utf8String('a'))))],
  ['trailing bytes', Uint8Array.of(...encodeName([['CN', 'a']]), 0)],
];

for (const [name, der] of REFUSED) {
  test(`refused: ${name}`, () =>
    assert.throws(
      () => parseName(der),
      (error) => isWritError(error, 'bad_der'),
    ));
}

test('an attribute that is no text is kept as it stands', () => {
  const name = parseName(sequence(attribute(integer(7))));
  assert.equal(name.rdns[0]?.[0]?.text, undefined);
  assert.equal(formatName(name), '2.5.4.3=#020107');
});

const MATCHING: readonly [name: string, a: Uint8Array, b: Uint8Array, match: boolean][] = [
  ['the same', attribute(utf8String('a')), attribute(utf8String('a')), true],
  ['another case', attribute(utf8String('Root CA')), attribute(utf8String('ROOT ca')), true],
  ['another string type', attribute(utf8String('Root')), attribute(printableString('Root')), true],
  ['white space', attribute(utf8String(' Root   CA ')), attribute(utf8String('Root CA')), true],
  ['other text', attribute(utf8String('a')), attribute(utf8String('b')), false],
  ['text and its hexadecimal', attribute(utf8String('020107')), attribute(integer(7)), false],
  ['another type', attribute(utf8String('a')), setOf(sequence(oid('2.5.4.10'), utf8String('a'))), false],
  [
    'multi-valued in the order of another spelling',
    setOf(sequence(CN, utf8String('A')), sequence(CN, utf8String('b'))),
    setOf(sequence(CN, utf8String('a')), sequence(CN, utf8String('B'))),
    true,
  ],
  [
    'quotes cannot shift a border',
    setOf(sequence(CN, utf8String('a"],["2.5.4.3","b'))),
    setOf(sequence(CN, utf8String('a')), sequence(CN, utf8String('b'))),
    false,
  ],
];

for (const [name, a, b, match] of MATCHING) {
  test(`matching: ${name}`, () => assert.equal(namesMatch(parseName(sequence(a)), parseName(sequence(b))), match));
}

test('a longer name does not match its beginning', () => {
  const short = parseName(encodeName([['O', 'a']]));
  const long = parseName(
    encodeName([
      ['O', 'a'],
      ['CN', 'b'],
    ]),
  );
  assert.equal(namesMatch(short, long), false);
  assert.deepEqual(matchingRdns(long).slice(0, 1), matchingRdns(short));
});

test('what could forge a line or a separator is escaped for people', () => {
  const name = parseName(encodeName([['CN', ' a,b+c"d\\e\nf\u202eg ']]));
  assert.equal(formatName(name), 'CN=\\ a\\,b\\+c\\"d\\\\e\\0af\\e2\\80\\aeg\\ ');
});

test('names of any text are read back', () => {
  const part = fc.tuple(fc.constantFrom('CN', 'O', 'OU', 'L'), fc.string({ minLength: 1, unit: 'grapheme' }));
  fc.assert(
    fc.property(fc.array(part, { maxLength: 5 }), (parts) => {
      const name = parseName(encodeName(parts as Parameters<typeof encodeName>[0]));
      assert.deepEqual(
        name.rdns.map(([one]) => one?.text),
        parts.map(([, text]) => text),
      );
      assert.equal(namesMatch(name, parseName(name.raw)), true);
    }),
  );
});

test('empty and misplaced text is not written', () => {
  for (const parts of [[['CN', '']], [['C', 'Österreich']], [['DC', 'é']]] as const) {
    assert.throws(
      () => encodeName(parts),
      (error) => isWritError(error),
    );
  }
});
