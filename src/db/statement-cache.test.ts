import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StatementCache } from './statement-cache.ts';

test('statements that are used stay, the others are handed out, and there are never more than the limit', () => {
  const dropped: string[] = [];
  const cache = new StatementCache<string>(8, (statement) => dropped.push(statement));
  let prepared = 0;
  const use = (text: string): string => cache.get(text, (made) => `${made}#${prepared++}`);
  const often = use('often');
  for (let i = 0; i < 100; i++) {
    use(`once ${i}`);
    assert.equal(use('often'), often);
    assert.ok(cache.size <= 8);
  }
  assert.equal(prepared, 101);
  assert.equal(dropped.length, prepared - cache.size, 'each that is not held was handed out, once');
  assert.equal(new Set(dropped).size, dropped.length);
  cache.clear();
  assert.notEqual(use('often'), often);
});
