import type { Caller } from '../base/access.ts';
import { WritError } from '../base/error.ts';
import type { Batch } from '../db/batch.ts';

/** Stops that one caller makes within a minute, unless configured otherwise. */
export const STOPS_A_MINUTE = 60;

const MINUTE = 60_000;

const SIGNAL = 'system:signal';

/**
 * Counts a stop, whichever way it is made, towards what one person may make within a minute; the commit looks, so that no
 * more come through at once than one after another. Refused with `rate_limited`.
 *
 * Who may stop anybody could stop everybody one by one, so this is for operators and automated signals. An instance stops
 * nobody but itself and what it let in, however many, and ends what it started when its task ends: it has the limit of
 * all that it writes (`http/limits.ts`) and no other. Nothing keeps the administrator on the server's machine from anything.
 */
export function countStop(batch: Batch, caller: Caller, now: number, most: number = STOPS_A_MINUTE): void {
  const { id, kind, instance, operator } = caller;
  if (instance !== undefined || (kind === 'system' && id !== SIGNAL)) return;
  // Beyond a minute ahead are those of a clock that was wrong.
  const [since, until] = [now - MINUTE, now + MINUTE];
  const whose = operator !== undefined && id.endsWith(`/${operator}`) ? ofPerson(id, operator) : undefined;
  batch.checks.push({
    sql:
      `SELECT 1 FROM (SELECT COUNT(*) AS stops FROM recent_stop WHERE (caller = ?${whose?.sql ?? ''}) AND at > ? AND at <= ?) ` +
      'counted WHERE stops < ?',
    params: [id, ...(whose?.params ?? []), since, until, most],
    want: 'present',
    refusal: 'rate_limited',
    reason: `There were ${most} stops by this caller within a minute.`,
  });
  batch.writes.push(
    { sql: 'DELETE FROM recent_stop WHERE caller = ? AND (at <= ? OR at > ?)', params: [id, since, until] },
    { sql: 'INSERT INTO recent_stop (caller, at) VALUES (?, ?)', params: [id, now] },
  );
}

/** All callers that are the person whose credential it is: nobody stops more for having several. */
function ofPerson(id: string, operator: string): { readonly sql: string; readonly params: readonly string[] } {
  return {
    sql:
      ' OR caller IN (SELECT CAST(? AS TEXT) || o.name FROM operator o JOIN operator own ON own.person = o.person ' +
      "WHERE own.name = ? AND own.person <> '')",
    params: [id.slice(0, -operator.length), operator],
  };
}

/** What whoever stops too often is told. */
export function tooManyStops(reason: string): WritError {
  return new WritError('rate_limited', reason, {
    remedy: 'Stop all of it at once, by team, label or parent; or have somebody else do it.',
  });
}
