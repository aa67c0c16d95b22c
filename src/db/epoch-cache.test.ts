import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EpochCache } from './epoch-cache.ts';

function setUp(limit = 10) {
  let epoch = 0;
  let reads = 0;
  const cache = new EpochCache<string>({ current: () => epoch }, limit);
  const read = (key: string, value = 'v') =>
    cache.read(key, async () => {
      reads += 1;
      return value;
    });
  return { cache, read, reads: () => reads, move: () => (epoch += 1) };
}

test('a value is read once while the epoch stays, and again when it moved', async () => {
  const { cache, read, reads, move } = setUp();
  assert.equal(await read('a'), 'v');
  assert.equal(await read('a', 'other'), 'v');
  assert.equal(reads(), 1);
  move();
  assert.equal(cache.get('a'), undefined);
  assert.equal(await read('a', 'new'), 'new');
});

test('what was read while the epoch moved is answered, but not kept', async () => {
  const { cache, move } = setUp();
  const value = await cache.read('a', async () => {
    move();
    return 'perhaps old';
  });
  assert.equal(value, 'perhaps old');
  assert.equal(cache.get('a'), undefined);
});

test('the oldest goes first, and a forgotten one is read again', async () => {
  const { cache, read, reads } = setUp(2);
  for (const key of ['a', 'b', 'c']) await read(key);
  assert.deepEqual([cache.get('a'), cache.get('b'), cache.get('c')], [undefined, 'v', 'v']);
  cache.forget('c');
  await read('c');
  assert.equal(reads(), 4);
});

test('what is put is kept under the epoch that it was made under, and replaces what was there', () => {
  const { cache, move } = setUp(2);
  cache.put('a', 'early', 7);
  assert.equal(cache.get('a'), undefined, 'the epoch is another');
  const under = move();
  cache.put('a', 'one', under);
  cache.put('b', 'two', under);
  cache.put('a', 'three', under);
  cache.put('c', 'four', under);
  assert.deepEqual([cache.get('a'), cache.get('b'), cache.get('c')], ['three', undefined, 'four']);
});
