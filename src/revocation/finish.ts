import type { CertificateRow } from '../ca/index/certificates.ts';
import { readUnfinishedStops, type UnfinishedStop } from '../ca/index/unfinished-stop.ts';
import type { Batch } from '../db/batch.ts';
import { readInstance } from '../registry/instance.ts';
import { DESCENDANTS, stopDescendants } from './descendants.ts';
import { settleOrphans } from './orphans.ts';
import type { MarkingParts } from './parts.ts';
import { markRest, type Stopping } from './steps.ts';
import { goOn } from './stop.ts';
import { readUnmarkedStops } from './stop-store.ts';
import { pushStopped } from './stopping-instance.ts';

/**
 * Marks what stops have left unmarked because a process ended in between. Called at start, and now and then; beside one
 * that is still at it this does no harm. Gives the number of stops.
 */
export async function finishStops(parts: MarkingParts): Promise<number> {
  const unfinished = await readUnfinishedStops(parts.reader);
  for (const stop of unfinished) {
    const [kind, id] = stop.subject.split(':') as [string, string];
    if (kind === DESCENDANTS.instance || kind === DESCENDANTS.agent) {
      await stopDescendants(stop, parts);
      continue;
    }
    if (kind === 'agent') await markRest(ofAgent(stop, id, parts), parts);
    else await markRest({ ...stop, filter: kind === 'operator' ? { operator: id } : { instance: id } }, parts);
  }
  const unmarked = await readUnmarkedStops(parts.reader);
  for (const stop of unmarked) await goOn(stop, parts);
  return unfinished.length + unmarked.length + (await settleOrphans(parts));
}

/** Of an agent that was retired without the cord, by an older version or before a restore: its instances stop with their certificates. */
function ofAgent(
  stop: UnfinishedStop,
  agent: string,
  { reader }: MarkingParts,
): Omit<Stopping, 'begin' | 'canBeWhole'> {
  const facts = { at: stop.stoppedAt, cause: stop.cause, caller: stop.stoppedBy };
  return {
    ...stop,
    filter: { agent },
    async also(batch: Batch, rows: readonly CertificateRow[]) {
      for (const id of new Set(rows.map(({ instance }) => instance))) {
        const instance = id === undefined ? undefined : await readInstance(reader, id);
        if (instance !== undefined && instance.status !== 'stopped') pushStopped(batch, instance, facts);
      }
    },
  };
}
