import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { isWritError } from '../base/error.ts';
import { formatDuration, parseCount, parseDuration, parsePairs, parseTime, readInput } from './values.ts';

const refuses = (act: () => unknown, field: string): void =>
  assert.throws(
    act,
    (error) => isWritError(error, 'bad_request') && error.field === field && error.remedy !== undefined,
  );

test('durations', () => {
  const good: Record<string, number> = { '90': 90, '90s': 90, '15m': 900, '1h': 3600, '7d': 604_800, '0': 0 };
  for (const [text, seconds] of Object.entries(good)) assert.equal(parseDuration(text, 'lifetime'), seconds);
  for (const text of ['', '1w', '-1h', '1.5h', '1 h', 'h', '1h30m', '9999999999']) {
    refuses(() => parseDuration(text, 'lifetime'), '--lifetime');
  }
});

test('durations are shown as they are written', () => {
  const shown: Record<number, string> = {
    0: '0s',
    1: '1s',
    90: '90s',
    900: '15m',
    5400: '90m',
    3600: '1h',
    604800: '7d',
  };
  for (const [seconds, text] of Object.entries(shown)) {
    assert.equal(formatDuration(Number(seconds)), text);
    assert.equal(parseDuration(text, 'lifetime'), Number(seconds));
  }
});

test('times', () => {
  const now = Date.UTC(2026, 10, 22, 14, 3, 22, 417);
  const good: Record<string, string> = {
    now: '2026-11-22T14:03:22.417Z',
    '-15m': '2026-11-22T13:48:22.417Z',
    '2026-11-22T14:03:22Z': '2026-11-22T14:03:22.000Z',
    '2026-11-22T14:03:22.5Z': '2026-11-22T14:03:22.500Z',
    '2026-11-22T16:03:22+02:00': '2026-11-22T14:03:22.000Z',
    '2026-11-22T14:03:22': '2026-11-22T14:03:22.000Z',
    '2026-11-22 14:03': '2026-11-22T14:03:00.000Z',
    '2026-11-22': '2026-11-22T00:00:00.000Z',
  };
  for (const [text, time] of Object.entries(good)) assert.equal(parseTime(text, 'time', now), time, text);
  for (const text of ['', 'yesterday', '14:03', '2026-13-01', '22.11.2026', '-15', '+15m', '2026-11-22T25:00:00Z']) {
    refuses(() => parseTime(text, 'time', now), '--time');
  }
});

test('pairs and counts', () => {
  assert.deepEqual(parsePairs(['a=1', 'b=x=y', 'c='], 'label'), { a: '1', b: 'x=y', c: '' });
  for (const text of ['a', '=1', '']) refuses(() => parsePairs([text], 'label'), '--label');
  assert.equal(parseCount('50', 'uses', 100), 50);
  for (const text of ['0', '101', '-1', '1.5', '1e2', '', 'x', '0x10'])
    refuses(() => parseCount(text, 'uses', 100), '--uses');
});

test('files', () => {
  const folder = mkdtempSync(join(tmpdir(), 'writ-cli-values-'));
  writeFileSync(join(folder, 'a'), 'text');
  assert.equal(readInput(join(folder, 'a'), '--csr'), 'text');
  refuses(() => readInput(join(folder, 'b'), '--csr'), '--csr');
  refuses(() => readInput(folder, '--csr'), '--csr');
  rmSync(folder, { recursive: true });
});
