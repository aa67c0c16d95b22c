import type { Batch } from '../db/batch.ts';
import type { RecordedEvent } from '../ledger/entry.ts';

/**
 * Consent holds once, and what has ended stays so, also where an older database was put in place: what the anchor's entries
 * say was used, has expired or is over is so, whatever the backup says.
 */
export function replayEnds(events: readonly RecordedEvent[]): Batch['writes'] {
  return events.flatMap(({ type, time, body }): Batch['writes'] => {
    const approval = body['approval'] as string;
    switch (type) {
      case 'approval.used':
        return [{ sql: `${END} status <> 'used'`, params: ['used', time, approval] }];
      case 'approval.expired':
        return [{ sql: `${END} status IN ('pending', 'granted')`, params: ['expired', time, approval] }];
      case 'emergency.ended': {
        const at = Date.parse(String(body['ended_at']));
        const sql = 'UPDATE emergency SET ended_at = ?, ends_at = ? WHERE id = ? AND ended_at IS NULL';
        return [{ sql, params: [at, at, body['emergency'] as string] }];
      }
      default:
        return [];
    }
  });
}

const END = 'UPDATE approval SET status = ?, version = version + 1, ended_at = ? WHERE id = ? AND';

/**
 * Where the tail of a log is lost nobody knows which consent was used or taken back in it: all that is open ends, and so
 * does emergency access.
 */
export function voidOpen(now: number): Batch['writes'] {
  return [
    {
      sql:
        "UPDATE approval SET status = 'expired', version = version + 1, ended_at = ? " +
        "WHERE status IN ('pending', 'granted')",
      params: [now],
    },
    { sql: 'UPDATE emergency SET ended_at = ?, ends_at = ? WHERE ended_at IS NULL', params: [now, now] },
  ];
}
