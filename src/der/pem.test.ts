import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isWritError } from '../base/error.ts';
import { decodePem, decodePemBlocks, encodePem, MAX_PEM_CHARACTERS } from './pem.ts';

const A = encodePem('A', Uint8Array.of(1, 2, 3));
const B = encodePem('B C', Uint8Array.of(4));

test('the text is that of RFC 7468', () => {
  assert.equal(A, '-----BEGIN A-----\nAQID\n-----END A-----\n');
  const lines = encodePem('X', new Uint8Array(100)).split('\n');
  assert.equal(lines[1]?.length, 64);
});

const READ: readonly [name: string, text: string, labels: string[]][] = [
  ['one block', A, ['A']],
  ['two blocks', A + B, ['A', 'B C']],
  ['CRLF', A.replaceAll('\n', '\r\n'), ['A']],
  ['text between the blocks', `one: x\n${A}-- \nanother\n${B}`, ['A', 'B C']],
  ['no newline at the end', A.trimEnd(), ['A']],
  ['one long line', A.replace('AQID', 'AQIDAQIDAQIDAQID'.repeat(8)), ['A']],
  ['white space within', A.replace('AQID', ' AQ\t\nID '), ['A']],
  ['BEGIN in the midst of a line is no block', `x ${A}${B}`, ['B C']],
];

for (const [name, text, labels] of READ) {
  test(`read: ${name}`, () =>
    assert.deepEqual(
      decodePemBlocks(text).map(({ label }) => label),
      labels,
    ));
}

const REFUSED: readonly [name: string, text: string][] = [
  ['nothing', ''],
  ['base64 alone', 'AQID'],
  ['no END', '-----BEGIN A-----\nAQID\n'],
  ['END of another', '-----BEGIN A-----\nAQID\n-----END B-----\n'],
  ['a block within a block', `-----BEGIN A-----\n${B}-----END A-----\n`],
  ['an empty block', '-----BEGIN A-----\n-----END A-----\n'],
  ['a character that base64 does not have', A.replace('AQID', 'AQ!D')],
  ['the URL alphabet', A.replace('AQID', 'AQ_-')],
  ['missing padding', A.replace('AQID', 'AQ')],
  ['stray bits', A.replace('AQID', 'AR==')],
  ['padding in the midst', A.replace('AQID', 'AQ==AQID')],
  ['headers of RFC 1421', A.replace('AQID', 'Proc-Type: 4,ENCRYPTED\n\nAQID')],
  ['a label in lower case', A.replaceAll(' A-', ' a-')],
  ['no label', A.replaceAll(' A-', ' -')],
];

for (const [name, text] of REFUSED) {
  test(`refused: ${name}`, () =>
    assert.throws(
      () => decodePemBlocks(text),
      (error) => isWritError(error, 'bad_pem') && error.remedy !== undefined,
    ));
}

test('exactly one block of the label is wanted', () => {
  assert.deepEqual(decodePem(A, 'A'), Uint8Array.of(1, 2, 3));
  for (const text of [A + A, A + B, B]) {
    assert.throws(
      () => decodePem(text, 'A'),
      (error) => isWritError(error, 'bad_pem'),
    );
  }
});

test('a text beyond the limit is not looked at', () => {
  assert.throws(
    () => decodePemBlocks(' '.repeat(MAX_PEM_CHARACTERS + 1)),
    (error) => isWritError(error, 'too_large'),
  );
});

test('an error never repeats the input', () => {
  assert.throws(
    () => decodePemBlocks(A.replace('AQID', 'hunter2')),
    (error) => isWritError(error) && !JSON.stringify([error.message, error.field, error.remedy]).includes('hunter2'),
  );
});

test('what is written is read back, in a buffer of its own', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 300 }), (der) => {
      const read = decodePem(encodePem('X', der), 'X');
      assert.deepEqual(read, new Uint8Array(der));
      assert.equal(read.buffer.byteLength, der.length);
    }),
  );
});

test('many BEGINs without END take linear time', () => {
  const text = '\n-----BEGIN A-----'.repeat(50_000);
  const start = process.hrtime.bigint();
  assert.throws(
    () => decodePemBlocks(text),
    (error) => isWritError(error, 'bad_pem'),
  );
  assert.ok(process.hrtime.bigint() - start < 1_000_000_000n);
});
