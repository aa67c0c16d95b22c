import { readUnfinishedStops } from '../ca/unfinished-stop.ts';
import { readAgent } from '../registry/agent-store.ts';
import { DESCENDANTS, stopDescendants } from './descendants.ts';
import { settleOrphans } from './orphans.ts';
import type { MarkingParts } from './parts.ts';
import { markRest } from './steps.ts';
import { goOn } from './stop.ts';
import { stoppingOf } from './stop-agent.ts';
import { readUnmarkedStops } from './stop-store.ts';

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
    const agent = kind === 'agent' ? await readAgent(parts.reader, id) : undefined;
    const again = { at: stop.stoppedAt, cause: stop.cause, caller: stop.stoppedBy };
    await markRest(
      agent === undefined
        ? { ...stop, filter: kind === 'operator' ? { operator: id } : { instance: id } }
        : stoppingOf(agent, again, parts),
      parts,
    );
  }
  const unmarked = await readUnmarkedStops(parts.reader);
  for (const stop of unmarked) await goOn(stop, parts);
  return unfinished.length + unmarked.length + (await settleOrphans(parts));
}
