import type { Batch } from '../db/batch.ts';
import type { RecordedEvent } from '../ledger/entry.ts';

/**
 * Consent holds once, also where an older database was put in place: what the anchor's entries say was used is used, whatever
 * the backup says.
 */
export function replayUses(events: readonly RecordedEvent[]): Batch['writes'] {
  return events
    .filter(({ type }) => type === 'approval.used')
    .map(({ time, body }) => ({
      sql: "UPDATE approval SET status = 'used', version = version + 1, ended_at = ? WHERE id = ? AND status <> 'used'",
      params: [time, body['approval'] as string],
    }));
}

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
