import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createConcurrency } from './concurrency.ts';

test('a caller is held at its bound, others are not', () => {
  const work = createConcurrency({ perCaller: 2, all: 10 });
  assert.deepEqual(
    ['a', 'a', 'a', 'b'].map((caller) => work.enter(caller)),
    ['ok', 'ok', 'caller', 'ok'],
  );
  work.leave('a');
  assert.equal(work.enter('a'), 'ok');
  assert.equal(work.count(), 3);
});

test('all together are held at theirs', () => {
  const work = createConcurrency({ perCaller: 2, all: 3 });
  assert.deepEqual(
    ['a', 'b', 'c', 'd'].map((caller) => work.enter(caller)),
    ['ok', 'ok', 'ok', 'all'],
  );
  for (const caller of ['a', 'b', 'c']) work.leave(caller);
  assert.equal(work.count(), 0);
  assert.equal(work.enter('d'), 'ok');
});
