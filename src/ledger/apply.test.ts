import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { onEachEngine } from '../../test/engines.ts';
import type { Check } from '../db/batch.ts';
import type { Transaction } from '../db/database.ts';
import { failedCheck } from './apply.ts';

const check = (sql: string, params: Check['params'], want: Check['want'] = 'present'): Check => ({
  sql,
  params,
  want,
  refusal: 'conflict',
  reason: sql,
});

onEachEngine('checks that are asked at once keep their order and their parameters', async ({ open }) => {
  const database = await open();
  const is = 'SELECT 1 WHERE CAST(? AS INTEGER) = 1';
  const both = 'SELECT 1 AS found WHERE CAST(? AS INTEGER) = 2 AND CAST(? AS INTEGER) = 3';
  const counted = 'SELECT 1 FROM (SELECT COUNT(*) AS n FROM (SELECT 1 WHERE 1 = 0) none) counted WHERE n = 0';
  const list = 'SELECT 1 UNION SELECT 2 ORDER BY 1 LIMIT 1';
  await database.transaction(async (tx) => {
    const holds = [check(is, [1]), check(both, [2, 3]), check(counted, []), check(list, []), check(is, [0], 'absent')];
    assert.equal(await failedCheck(tx, holds), undefined);
    for (const [i, wrong] of [check(is, [2]), check(both, [3, 2]), check(counted, [], 'absent')].entries()) {
      assert.equal(await failedCheck(tx, holds.with(i, wrong).with(4, check(is, [1], 'absent'))), wrong);
    }
    assert.equal(await failedCheck(tx, []), undefined);
  });
});

test('texts that never come again do not stay in memory', async () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  // What is asked does not matter here, only what stays behind.
  const tx = { get: () => Promise.resolve({ c0: 1, c1: 1 }) } as unknown as Transaction;
  const first = check('SELECT 1', []);
  collect();
  const before = process.memoryUsage().heapUsed;
  for (let i = 0; i < 40_000; i++) {
    const second = check(`SELECT 1 FROM certificate_p${i} WHERE serial = ? AND revoked_at IS NULL`, [i]);
    assert.equal(await failedCheck(tx, [first, second]), undefined);
  }
  collect();
  const grown = process.memoryUsage().heapUsed - before;
  assert.ok(grown < 8 * 2 ** 20, `${grown} octets are left`);
});
