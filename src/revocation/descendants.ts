import { CAUSES, type Cause } from '../ca/revocation-cause.ts';
import { beginStop, finishStop, readUnfinishedStops, type UnfinishedStop } from '../ca/unfinished-stop.ts';
import { type Batch, newBatch } from '../db/batch.ts';
import { committed } from '../db/committed.ts';
import { listChildren } from '../registry/instance.ts';
import type { MarkingParts } from './parts.ts';
import { stopInSteps } from './steps.ts';
import { stoppingInstance } from './stopping-instance.ts';

/** Rows of `unfinished_stop` that speak of what an instance let in, and not of its own certificates. */
export const DESCENDANTS = 'descendants';

/** Children that are read at once. */
const PAGE = 100;

/**
 * Pushes that whatever this instance let in is to be stopped, too, where it is stopped because somebody else has its key:
 * they can have let in whom they liked, and those would outlive the stop with keys of their own.
 */
export function beginDescendants(
  batch: Batch,
  instance: string,
  { at, cause, caller }: { readonly at: number; readonly cause: Cause; readonly caller: string },
): void {
  if (CAUSES[cause] !== 'keyCompromise') return;
  beginStop(batch, { subject: subjectOf(instance), stoppedAt: at, cause: 'cascade', stoppedBy: caller });
}

/** Carries out what `beginDescendants` has recorded of an instance, if anything is left of it. */
export async function finishDescendants(instance: string, parts: MarkingParts): Promise<void> {
  const subject = subjectOf(instance);
  const left = (await readUnfinishedStops(parts.reader)).find((stop) => stop.subject === subject);
  if (left !== undefined) await stopDescendants(left, parts);
}

/**
 * Stops everything that an instance let in, directly or through others, whoever of them is stopped already. A parent that
 * is stopped lets nobody in, so below each of them the children are all there are.
 */
export async function stopDescendants(stop: UnfinishedStop, parts: MarkingParts): Promise<void> {
  const parents = [stop.subject.slice(DESCENDANTS.length + 1)];
  for (const parent of parents) {
    for (let after = ''; ; ) {
      const children = await listChildren(parts.reader, parent, after, PAGE);
      for (const child of children) {
        const own = { at: stop.stoppedAt, cause: stop.cause, caller: stop.stoppedBy };
        if (child.status === 'active') await stopInSteps(stoppingInstance(child, own, parts), parts);
        parents.push(child.id);
      }
      if (children.length < PAGE) break;
      after = children.at(-1)!.id;
    }
  }
  const batch = newBatch();
  finishStop(batch, stop.subject);
  batch.anchored = true;
  committed(await parts.commit(batch));
}

function subjectOf(instance: string): string {
  return `${DESCENDANTS}:${instance}`;
}
