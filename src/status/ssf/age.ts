import { type CommitBatch, newBatch } from '../../db/batch.ts';
import type { Reader } from '../../db/database.ts';

const DAY_MS = 86_400_000;
/** What nobody fetched, or what a paused stream held, for so long is dead. What is pushed is so after a day. */
const UNFETCHED_MS = 7 * DAY_MS;
/** Dead letters stay for so long, counted from when the SET was made. */
const DEAD_MS = 30 * DAY_MS;

/** Rows in one commit: no request waits long behind it. */
const ROWS_A_STEP = 500;
/** Steps of one call; what is left is for the next. */
const STEPS = 50;

/** Keeps the queue from growing for ever behind receivers that have gone. Gives the number of rows changed at most. */
export async function ageSets(
  { reader, commit }: { readonly reader: Reader; readonly commit: CommitBatch },
  now: number,
): Promise<number> {
  const bury = "UPDATE signal_event SET state = 'dead', fault = 'Nobody fetched it.'";
  let rows = 0;
  for (const state of ['waiting', 'notice'] as const) rows += await step(state, now - UNFETCHED_MS, bury);
  return rows + (await step('dead', now - DEAD_MS, 'DELETE FROM signal_event'));

  async function step(state: 'waiting' | 'notice' | 'dead', before: number, change: string): Promise<number> {
    const which = `SELECT stream, number FROM signal_event WHERE state = '${state}' AND created_at <= ? LIMIT ?`;
    let changed = 0;
    for (let steps = 0; steps < STEPS; steps++) {
      const found = await reader.all(which, [before, ROWS_A_STEP]);
      if (found.length === 0) break;
      const batch = newBatch();
      batch.writes.push({ sql: `${change} WHERE (stream, number) IN (${which})`, params: [before, ROWS_A_STEP] });
      if (!(await commit(batch)).committed) break;
      changed += found.length;
    }
    return changed;
  }
}
