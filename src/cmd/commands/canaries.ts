import type { Reader } from '../../db/database.ts';
import { allCanaries } from '../../report/show-canaries.ts';

const NAMED = 5;

/**
 * What canaries say, for `writ doctor`: an alarm where an identity that was stopped is still accepted, or where a point has
 * not been reported for two periods; a warning where nothing could be found out.
 */
export async function canaries(
  reader: Reader,
  now: number,
): Promise<{ readonly state: 'pass' | 'warn' | 'fail'; readonly found: string; readonly fix?: string }> {
  const all = await allCanaries(reader, now);
  const points = (status: string): string[] =>
    all.filter((one) => one.status === status).map(({ row }) => row.report.point);
  const [failing, silent, unclear] = [points('failing'), points('silent'), points('unclear')];
  if (failing.length > 0) {
    const fix = 'see why it does not follow the feed: docs/CANARY.md';
    return { state: 'fail', found: `identities that were stopped are still accepted at ${some(failing)}`, fix };
  }
  if (silent.length > 0) {
    const fix = 'start "writ canary run" again, or "writ canary remove POINT"';
    return { state: 'fail', found: `no word for two periods of ${some(silent)}`, fix };
  }
  if (unclear.length > 0) {
    return { state: 'warn', found: `nothing found out at ${some(unclear)}`, fix: 'see DETAIL of "writ canary list"' };
  }
  if (all.length === 0) return { state: 'pass', found: 'none: time to effect is not measured from outside' };
  return { state: 'pass', found: `all ${all.length} points refuse in time` };
}

function some(points: readonly string[]): string {
  const more = points.length - NAMED;
  return points.slice(0, NAMED).join(', ') + (more > 0 ? ` and ${more} more` : '');
}
