import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isHostName, isPresentedName, matchesHostName } from './host-name.ts';

test('host names keep to the preferred name syntax', () => {
  const longest = `${'a'.repeat(63)}.${'b'.repeat(63)}.${'c'.repeat(63)}.${'d'.repeat(61)}`;
  for (const name of ['example.com', 'EXAMPLE.com', 'localhost', 'xn--n3h.com', '3com.net', 'a--b.c', longest]) {
    assert.ok(isHostName(name), name);
  }
  const bad = [
    '',
    '.',
    '.example.com',
    'example.com.',
    'a..b',
    '-a.com',
    'a-.com',
    'foo_bar.com',
    '8.8.8.8',
    'a.1',
    'ü.de',
  ];
  for (const name of [...bad, '*.example.com', 'a b.com', 'a\0.com', `${'a'.repeat(64)}.com`, `${longest}e`]) {
    assert.ok(!isHostName(name), name);
  }
});

test('a wildcard is the whole leftmost label or nothing', () => {
  assert.ok(isPresentedName('*.example.com'));
  for (const name of ['*', '*.', 'ba*.example.com', 'foo.*.example.com', '*.*.example.com', 'xn--*-1b3c148a.com']) {
    assert.ok(!isPresentedName(name), name);
  }
});

test('presented names stand for what they say', () => {
  const cases: [string, string, boolean, boolean][] = [
    ['example.com', 'example.com', true, true],
    ['EXAMPLE.com', 'example.COM', true, true],
    ['example.com', 'www.example.com', true, false],
    ['www.example.com', 'example.com', true, false],
    ['*.example.com', 'www.example.com', true, true],
    ['*.example.com', 'www.example.com', false, false],
    ['*.example.com', 'example.com', true, false],
    ['*.example.com', 'a.b.example.com', true, false],
  ];
  for (const [presented, wanted, wildcards, want] of cases) {
    assert.equal(matchesHostName(presented, wanted, wildcards), want, `${presented} for ${wanted}`);
  }
});
