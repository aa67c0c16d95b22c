import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isWritError } from '../../base/error.ts';
import { oid } from '../../der/writer.ts';
import { AGENT_CONTEXT, type AgentContext, decodeAgentContext, encodeAgentContext } from './agent-context.ts';

const hex = (value: Uint8Array) => Buffer.from(value).toString('hex');
const octets = (text: string) => new Uint8Array(Buffer.from(text.replace(/\s/g, ''), 'hex'));

test('the object identifier is on the wire for ever', () => {
  assert.equal(hex(oid(AGENT_CONTEXT)), '06212a864886f71401be40937a83f97a82c205839851818f7782ac6687aceb618b9f60');
});

/** These encodings are on the wire for ever: a change here is a break for everybody who reads certificates. */
const WIRE: readonly [context: AgentContext, hex: string][] = [
  [{ workflow: 'close-books' }, '300d 800b 636c6f73652d626f6f6b73'],
  [{ task: 't1' }, '3004 8102 7431'],
  [{ scopes: ['a', 'é'] }, '3009 a207 0c0161 0c02c3a9'],
  [{ grantDigest: new Uint8Array(32).fill(7) }, `3022 8320 ${'07'.repeat(32)}`],
  [
    { workflow: 'w', task: 't', scopes: ['s'], grantDigest: new Uint8Array(32) },
    `302d 800177 810174 a203 0c0173 8320 ${'00'.repeat(32)}`,
  ],
];

for (const [context, text] of WIRE) {
  test(`both ways: ${Object.keys(context).join(', ')}`, () => {
    assert.equal(hex(encodeAgentContext(context)), text.replaceAll(' ', ''));
    assert.deepEqual(decodeAgentContext(octets(text)), context);
  });
}

const TOO_LONG = 'x'.repeat(129);

const NOT_READ: readonly [name: string, hex: string][] = [
  ['no field', '3000'],
  ['fields out of order', '3006 810174 800177'],
  ['a field twice', '3006 800177 800178'],
  ['an empty workflow', '3002 8000'],
  ['a workflow of 129 octets', `308184 808181 ${hex(new TextEncoder().encode(TOO_LONG))}`],
  ['a workflow with a newline', '3003 80010a'],
  ['a task that is no UTF-8', '3003 8101ff'],
  ['scopes empty', '3002 a200'],
  ['a scope that is no UTF8String', '3005 a203 130161'],
  ['a scope twice', '3008 a206 0c0161 0c0161'],
  ['33 scopes', `3066 a264 ${Array.from({ length: 33 }, (_, i) => `0c01${(0x30 + i).toString(16)}`).join('')} 00`],
  ['a digest of 31 octets', `3021 831f ${'00'.repeat(31)}`],
  ['an unknown field', '3006 800177 840100'],
  ['trailing bytes', '3003 800177 00'],
];

for (const [name, text] of NOT_READ) {
  test(`not read: ${name}`, () =>
    assert.throws(
      () => decodeAgentContext(octets(text)),
      (error) => isWritError(error, 'bad_der'),
    ));
}

test('not read: more than 4096 octets', () => {
  assert.throws(
    () => decodeAgentContext(new Uint8Array(4097)),
    (error) => isWritError(error, 'too_large'),
  );
});

const NOT_WRITTEN: readonly [field: string, context: AgentContext][] = [
  ['agentContext', {}],
  ['workflow', { workflow: '' }],
  ['workflow', { workflow: TOO_LONG }],
  ['task', { task: 'a\tb' }],
  ['task', { task: '\ud800' }],
  ['scopes', { scopes: [] }],
  ['scopes', { scopes: ['a', 'a'] }],
  ['scopes', { scopes: Array.from({ length: 33 }, (_, i) => `s${i}`) }],
  ['scopes', { scopes: ['é'.repeat(65)] }],
  ['scopes', { scopes: Array.from({ length: 32 }, (_, i) => String(i).padEnd(128, 'x')) }],
  ['grantDigest', { grantDigest: new Uint8Array(31) }],
];

for (const [field, context] of NOT_WRITTEN) {
  test(`not written: ${field} ${JSON.stringify(context).slice(0, 40)}`, () =>
    assert.throws(
      () => encodeAgentContext(context),
      (error) => isWritError(error, 'bad_request') && error.field === field && error.remedy !== undefined,
    ));
}

test('whatever is written is read back', () => {
  const text = fc
    .string({ minLength: 1, unit: 'grapheme' })
    .filter((value) => Buffer.byteLength(value) <= 128 && !/\p{Cc}/u.test(value));
  const context = fc.record(
    {
      workflow: text,
      task: text,
      scopes: fc.uniqueArray(text, { minLength: 1, maxLength: 32 }),
      grantDigest: fc.uint8Array({ minLength: 32, maxLength: 32 }),
    },
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(context, (given) => {
      fc.pre(Object.keys(given).length > 0);
      const read = decodeAgentContext(encodeAgentContext(given as AgentContext));
      assert.deepEqual(
        { ...read, grantDigest: read.grantDigest && [...read.grantDigest] },
        {
          ...given,
          grantDigest: given.grantDigest && [...given.grantDigest],
        },
      );
    }),
  );
});
