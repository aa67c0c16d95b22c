import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Reader, Row } from '../../db/database.ts';
import { canaries } from './canaries.ts';

const NOW = 1_800_000_000_000;

function row(
  point: string,
  verdict: string,
  { ago = 1000, period = 600 }: { ago?: number; period?: number } = {},
): Row {
  const report = { point, child: 'x', verdict, accepted_after: 0, calls: 1, period_seconds: period };
  return {
    ...{ agent: 'canary', point, version: 1, report: JSON.stringify(report), runner: 'x', stopped_at: NOW - ago },
    ...{ reported_at: NOW - ago, last_success_at: null, successes: 0, failures: 0, inconclusive: 0, sum_ms: 0 },
    latest: '[]',
  };
}

const found = async (...rows: Row[]): Promise<[string, string]> => {
  const reader: Reader = { all: async () => rows, get: async () => undefined };
  const { state, found: text } = await canaries(reader, NOW);
  return [state, text];
};

test('doctor fails for a point that does not refuse or says nothing, warns where nothing was found out', async () => {
  assert.deepEqual((await found())[0], 'pass');
  assert.deepEqual(await found(row('a', 'refused'), row('b', 'refused')), ['pass', 'all 2 points refuse in time']);
  const late = { ago: 1_200_001 };
  assert.deepEqual(await found(row('a', 'refused', late), row('b', 'refused')), [
    'fail',
    'no word for two periods of a',
  ]);
  assert.deepEqual((await found(row('a', 'refused', { ago: 1_199_999 })))[0], 'pass');
  assert.deepEqual(await found(row('a', 'unreachable'), row('b', 'unclear')), ['warn', 'nothing found out at a, b']);
  const [state, text] = await found(row('a', 'unclear'), row('b', 'refused', late), row('c', 'still_accepted', late));
  assert.deepEqual([state, text], ['fail', 'identities that were stopped are still accepted at c']);
  const many = Array.from({ length: 8 }, (_, i) => row(`p${i}`, 'still_accepted'));
  assert.match((await found(...many))[1], /at p0, p1, p2, p3, p4 and 3 more$/);
});
