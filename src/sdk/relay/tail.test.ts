import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FeedEntry } from '../../wire/feed.ts';
import { RelayTail } from './tail.ts';

/** So many entries up to a position, as if signed. */
function segment(after: number, position: number, count = 1) {
  const entries = Array.from({ length: count }, () => ({}) as FeedEntry);
  return { log: 1, after, position, entries, signed: { chain: [], statement: `${after}-${position}`, signature: '' } };
}

function told(text: string | undefined): string[] | undefined {
  return text === undefined ? undefined : [...text.matchAll(/"statement":"([^"]*)"/g)].map(([, one]) => one!);
}

test('whoever comes back is told all that follows, from the piece on in which his place is', () => {
  const tail = new RelayTail();
  assert.equal(tail.after(0), undefined);
  tail.begin(10);
  for (const [after, position] of [
    [10, 12],
    [12, 20],
    [20, 21],
  ] as const) {
    tail.add(segment(after, position));
  }
  for (const [from, want] of [
    [9, undefined],
    [10, ['10-12', '12-20', '20-21']],
    [11, ['10-12', '12-20', '20-21']],
    [12, ['12-20', '20-21']],
    [19, ['12-20', '20-21']],
    [20, ['20-21']],
    [21, []],
    [30, []],
  ] as const) {
    assert.deepEqual(told(tail.after(from)), want, String(from));
  }
  tail.begin(40);
  assert.deepEqual([tail.after(21), tail.after(40)], [undefined, '']);
});

test('what has become too much is forgotten in whole pieces, and nobody is told less than all', () => {
  const tail = new RelayTail();
  tail.begin(0);
  for (let i = 0; i < 40; i++) tail.add(segment(i * 1000, (i + 1) * 1000, 1000));
  let first = 0;
  while (tail.after(first * 1000) === undefined) first++;
  assert.ok(first > 20 && first < 36, String(first));
  assert.equal(tail.after(first * 1000 - 1), undefined);
  assert.equal(told(tail.after(first * 1000))!.length, 40 - first);
});
