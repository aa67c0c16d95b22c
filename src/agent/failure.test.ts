/** What a daemon makes of a server that does not do what it is asked for. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ErrorCode, WritError } from '../base/error.ts';
import { isPassing, statusOf } from './failure.ts';
import { Stops } from './workloads/stops.ts';

const PASSING: readonly ErrorCode[] = [
  'unavailable',
  'rate_limited',
  // Somebody else answers where the server was, or a clock is wrong.
  'bad_certificate',
  'not_authenticated',
  // A proxy that has no server behind it; a server that cannot write, sign, or believe its clock.
  'internal',
  'storage_failed',
  'signer_failed',
  'clock',
  'behind_anchor',
];
const DEFINITE: readonly ErrorCode[] = ['denied', 'not_found', 'revoked', 'inactive', 'conflict', 'bad_request'];

test('a stop that the server did not take is told again until it says something about it', async (context) => {
  const steady = { now: 1_000_000 };
  context.mock.method(performance, 'now', () => steady.now);
  for (const code of [...PASSING, ...DEFINITE]) {
    let asked = 0;
    const stop = async (): Promise<void> => {
      asked += 1;
      if (asked < 3) throw new WritError(code, 'no');
    };
    const stops = new Stops({ stop }, (run) => run());
    stops.add('one', 'task_completed');
    for (let n = 0; n < 10; n++) {
      stops.send();
      await new Promise((then) => setImmediate(then));
      steady.now += 60_000;
    }
    assert.equal(asked, PASSING.includes(code) ? 3 : 1, code);
  }
});

test('callers hear that they may try again unless they were refused', () => {
  for (const code of PASSING) assert.equal(statusOf(new WritError(code, 'no')).code, 'unavailable', code);
  assert.equal(isPassing(new Error('anything else')), true);
  assert.equal(statusOf(new Error('anything else')).code, 'internal');
  assert.equal(statusOf(new WritError('denied', 'no')).code, 'permission_denied');
});
