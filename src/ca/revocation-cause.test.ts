import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isWritError } from '../base/error.ts';
import { blocksKey, CAUSES, type Cause, parseCause, REASONS, reasonCode } from './revocation-cause.ts';

test('every cause has a reason of RFC 5280 that says something', () => {
  for (const cause of Object.keys(CAUSES) as Cause[]) {
    assert.ok([1, 2, 3, 4, 5, 9].includes(reasonCode(cause)), cause);
    assert.equal(parseCause({ cause }), cause);
    assert.equal(parseCause({ cause, reason: CAUSES[cause] }), cause);
  }
});

test('every reason alone gives a cause that has it', () => {
  for (const reason of Object.keys(REASONS)) assert.equal(CAUSES[parseCause({ reason })], reason);
});

const REFUSED: readonly [name: string, given: { cause?: string; reason?: string }, field: string][] = [
  ['nothing', {}, '/cause'],
  ['unspecified', { reason: 'unspecified' }, '/reason'],
  ['unspecified beside a cause', { cause: 'key_theft', reason: 'unspecified' }, '/reason'],
  ['hold', { reason: 'certificateHold' }, '/reason'],
  ['an unknown cause', { cause: 'because' }, '/cause'],
  ['an inherited property', { cause: 'toString' }, '/cause'],
  ['an inherited property as reason', { reason: 'constructor' }, '/reason'],
  ['a reason that does not follow', { cause: 'key_theft', reason: 'superseded' }, '/reason'],
];

for (const [name, given, field] of REFUSED) {
  test(`refused: ${name}`, () => {
    assert.throws(
      () => parseCause(given),
      (error) => isWritError(error, 'bad_request') && error.field === field && error.remedy !== undefined,
    );
  });
}

test('only a planned replacement leaves the key usable', () => {
  assert.deepEqual(
    (Object.keys(CAUSES) as Cause[]).filter((cause) => !blocksKey(cause)),
    ['superseded_by_renewal'],
  );
});
