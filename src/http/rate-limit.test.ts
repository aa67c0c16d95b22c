import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addressGroup, createRateLimit } from './rate-limit.ts';

test('a burst passes at once, then one each interval', () => {
  const limit = createRateLimit({ perSecond: 10, burst: 3, callers: 100 });
  const waits = [0, 0, 0, 0, 50, 100, 100].map((now) => limit.take('a', now));
  assert.deepEqual(waits, [0, 0, 0, 100, 50, 0, 100]);
});

test('over a long time the rate is the rate, however often one asks', () => {
  const limit = createRateLimit({ perSecond: 100, burst: 5, callers: 100 });
  let passed = 0;
  for (let now = 0; now < 10_000; now += 1) if (limit.take('a', now) === 0) passed += 1;
  assert.ok(passed >= 1000 && passed <= 1005, `${passed}`);
});

test('after a rest the burst is whole again, and never more than that', () => {
  const limit = createRateLimit({ perSecond: 10, burst: 3, callers: 100 });
  for (let i = 0; i < 3; i++) limit.take('a', 0);
  const waits = [60_000, 60_000, 60_000, 60_000].map((now) => limit.take('a', now));
  assert.deepEqual(waits, [0, 0, 0, 100]);
});

test('what is charged beyond the allowance is waited for, by that caller alone', () => {
  const limit = createRateLimit({ perSecond: 10, burst: 3, callers: 100 });
  assert.equal(limit.take('a', 0), 0);
  limit.charge('a', 0, 11);
  assert.equal(limit.take('a', 0), 1000);
  assert.equal(limit.take('b', 0), 0);
  assert.equal(limit.take('a', 999), 1);
  assert.equal(limit.take('a', 1000), 0);
  limit.charge('a', 1000, 0);
  assert.equal(limit.take('a', 1100), 0);
});

test('callers do not spend one another’s allowance', () => {
  const limit = createRateLimit({ perSecond: 1, burst: 1, callers: 100 });
  assert.equal(limit.take('a', 0), 0);
  assert.equal(limit.take('b', 0), 0);
  assert.ok(limit.take('a', 0) > 0);
});

test('who keeps coming is remembered while others crowd in', () => {
  const limit = createRateLimit({ perSecond: 1, burst: 2, callers: 20 });
  limit.take('busy', 0);
  for (let i = 0; i < 9; i++) limit.take(`stranger ${i}`, 0);
  limit.take('busy', 0);
  for (let i = 0; i < 9; i++) limit.take(`newcomer ${i}`, 0);
  assert.ok(limit.take('busy', 0) > 0);
});

const groups: [string, string][] = [
  ['192.0.2.7', '192.0.2.7'],
  ['::ffff:192.0.2.7', '192.0.2.7'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['2001:db8:1:2::9', '2001:db8:1:2::/64'],
  ['2001:db8::9', '2001:db8:0:0::/64'],
  ['::1', '0:0:0:0::/64'],
  ['fe80::1%eth0', 'fe80:0:0:0::/64'],
];

for (const [address, group] of groups)
  test(`${address} counts as ${group}`, () => assert.equal(addressGroup(address), group));
