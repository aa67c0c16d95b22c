import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nextTurn } from './next-turn.ts';

test('those who wait in the same turn go on together, in their order, after it', async () => {
  const seen: string[] = [];
  const wait = async (name: string): Promise<void> => {
    await nextTurn();
    seen.push(name);
  };
  const both = [wait('first'), wait('second')];
  await Promise.resolve();
  assert.deepEqual(seen, []);
  await Promise.all(both);
  assert.deepEqual(seen, ['first', 'second']);
});

test('each turn has a wait of its own', async () => {
  const one = nextTurn();
  assert.equal(nextTurn(), one);
  await one;
  const other = nextTurn();
  assert.notEqual(other, one);
  await other;
});
