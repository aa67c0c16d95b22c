import type { Reader } from '../../db/database.ts';
import { feedEffect } from '../../ledger/feed.ts';
import type { ReadStops } from './fan-out.ts';

/** Reads the revocation feed as what others are told of. */
export function stopsOf(reader: Reader): ReadStops {
  const sql = 'SELECT leaf, act, type, at, subjects FROM revocation_feed WHERE leaf > ? ORDER BY leaf LIMIT ?';
  return async (after, limit) =>
    (await reader.all(sql, [after, limit])).map((row) => ({
      leaf: row['leaf'] as number,
      act: row['act'] as number,
      type: row['type'] as string,
      effect: feedEffect(row['type'] as string) ?? 'stop',
      at: row['at'] as number,
      subjects: JSON.parse(row['subjects'] as string) as string[],
    }));
}
