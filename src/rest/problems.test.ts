import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ERROR_CODES, type ErrorCode, WritError } from '../base/error.ts';
import type { Log, LogFields } from '../base/log.ts';
import { problem } from '../wire/problem.ts';
import { parse } from '../wire/schema.ts';
import { problemReplies, statusOf } from './problems.ts';

const CANARY = 'canary-7c3e';

function recorder(): { log: Log; lines: string[] } {
  const lines: string[] = [];
  const write =
    (level: string) =>
    (event: string, fields: LogFields = {}): void =>
      void lines.push(JSON.stringify({ level, event, ...fields }));
  return { lines, log: { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') } };
}

for (const code of Object.keys(ERROR_CODES) as ErrorCode[]) {
  test(`${code} has a problem document`, () => {
    const { log, lines } = recorder();
    const error = new WritError(code, 'What is wrong.', { field: '/a', remedy: 'Do this.', reasons: ['Because.'] });
    const reply = problemReplies(log)(error, 'r-1');
    const body = parse(problem, JSON.parse(String(reply.body)), 'body');
    assert.equal(reply.type, 'application/problem+json');
    assert.deepEqual([body.status, body.code, body.request_id], [reply.status, code, 'r-1']);
    assert.equal(reply.status, statusOf(code));
    if (reply.status === 500) {
      assert.equal(body.field, undefined);
      assert.doesNotMatch(body.detail, /wrong/);
      assert.match(lines.join(), /"request_id":"r-1".*What is wrong/);
    } else
      assert.deepEqual(
        [body.detail, body.field, body.remedy, body.reasons],
        ['What is wrong.', '/a', 'Do this.', ['Because.']],
      );
    assert.equal(reply.headers?.includes('Retry-After'), reply.status === 503);
  });
}

const strange: [string, unknown][] = [
  ['an error that quotes input', new SyntaxError(`Unexpected token in ${CANARY}`)],
  ['an error of the database', Object.assign(new Error(`Key (secret)=(${CANARY}) exists`), { code: '23505' })],
  ['a text', CANARY],
  ['nothing', undefined],
  ['our own with such a cause', new WritError('internal', 'A defect.', { cause: new Error(CANARY) })],
];

for (const [name, error] of strange) {
  test(`${name} is 500 without detail, in the answer and in the log`, () => {
    const { log, lines } = recorder();
    const reply = problemReplies(log)(error, 'r-2');
    const body = parse(problem, JSON.parse(String(reply.body)), 'body');
    assert.deepEqual([body.status, body.code], [500, 'internal']);
    assert.equal(lines.length, 1);
    assert.match(lines[0]!, /"request_id":"r-2"/);
    assert.ok(!`${String(reply.body)}${lines.join()}`.includes(CANARY));
  });
}

test('a defect can be found by its log line', () => {
  const { log, lines } = recorder();
  problemReplies(log)(new TypeError('x is not a function'), 'r-3');
  assert.match(lines[0]!, /x is not a function.*problems\.test\.ts/);
});
