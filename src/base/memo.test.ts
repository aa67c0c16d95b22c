import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Memo } from './memo.ts';

test('what is used stays, the rest is handed out once, and there is never more than the capacity', () => {
  const dropped: string[] = [];
  const memo = new Memo<string>(8, (value) => dropped.push(value));
  let made = 0;
  const use = (key: string): string => memo.get(key) ?? memo.set(key, `${key}#${made++}`);
  const often = use('often');
  for (let i = 0; i < 100; i++) {
    use(`once ${i}`);
    assert.equal(use('often'), often);
    assert.ok(memo.size <= 8);
  }
  assert.equal(made, 101);
  assert.equal(dropped.length, made - memo.size, 'each that is not held was handed out, once');
  assert.equal(new Set(dropped).size, dropped.length);
  memo.clear();
  assert.equal(memo.size, 0);
  assert.notEqual(use('often'), often);
});
