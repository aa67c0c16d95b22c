import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FeedEntry } from '../../wire/feed.ts';
import { Stopped } from './stopped.ts';
import { Uses } from './uses.ts';

function entry(effect: FeedEntry['effect'], subject: string, expires = 1000): FeedEntry {
  return { position: 1, act: 1, effect, type: 'x', at: 0, expires_at: expires, subjects: [subject] };
}

test('a hold ends with its release, an end for ever does not', () => {
  const stopped = new Stopped();
  assert.deepEqual(stopped.apply(entry('hold', 'agent:a')), ['agent:a']);
  assert.equal(stopped.of(['serial:1', 'agent:a']), 'held');
  stopped.apply(entry('stop', 'serial:1'));
  assert.equal(stopped.of(['agent:a', 'serial:1']), 'stopped');
  assert.deepEqual(stopped.apply(entry('release', 'agent:a')), []);
  assert.equal(stopped.of(['agent:a']), undefined);
  stopped.apply(entry('hold', 'serial:1'));
  stopped.apply(entry('release', 'serial:1'));
  assert.equal(stopped.of(['serial:1']), 'stopped');
});

test('what falls with something is held until that is released, or its own entries have come', () => {
  const stopped = new Stopped();
  const hold = (cause: string): FeedEntry => ({ ...entry('hold', cause), also: ['agent:a', 'instance:i'] });
  assert.deepEqual(stopped.apply(hold('owner:x'), 0), ['owner:x', 'agent:a', 'instance:i']);
  stopped.apply(hold('label:y=z'), 30_000);
  assert.equal(stopped.of(['serial:1', 'agent:a'], 1), 'held');
  assert.equal(stopped.of(['serial:1', 'agent:b'], 1), undefined);
  // Two hold it: the release of one is not that of the other.
  stopped.apply(entry('release', 'owner:x'));
  assert.equal(stopped.of(['instance:i'], 1), 'held');
  assert.equal(stopped.of(['instance:i'], 90_000), undefined);
  stopped.apply(entry('stop', 'agent:a', 200_000), 40_000);
  stopped.apply(entry('release', 'label:y=z'));
  assert.deepEqual([stopped.of(['instance:i'], 50_000), stopped.of(['agent:a'], 50_000)], [undefined, 'stopped']);
  stopped.apply(hold('owner:x'), 0);
  stopped.forget(199_999);
  assert.equal(stopped.of(['instance:i'], 1), undefined);
});

test('what has expired is forgotten, and nothing before', () => {
  const stopped = new Stopped();
  stopped.apply(entry('stop', 'serial:1', 1000));
  stopped.apply(entry('stop', 'serial:1', 500));
  stopped.forget(999);
  assert.equal(stopped.of(['serial:1']), 'stopped');
  stopped.forget(1000);
  assert.equal(stopped.of(['serial:1']), undefined);
  assert.equal(stopped.size, 0);
});

test('uses are counted by whom and since when, the newest of them', () => {
  const uses = new Uses();
  uses.add(['serial:1', 'instance:i'], 10);
  uses.add(['serial:2', 'instance:i'], 20);
  uses.add(['serial:3'], 30);
  assert.deepEqual([uses.since(['instance:i'], 0), uses.since(['instance:i'], 11), uses.since([], 0)], [2, 1, 0]);
  for (let i = 0; i < 5000; i++) uses.add(['serial:4'], 40);
  assert.equal(uses.since(['instance:i'], 0), 0);
});
