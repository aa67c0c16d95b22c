import { beginStop, finishStop, type UnfinishedStop } from '../ca/index/unfinished-stop.ts';
import { CAUSES, type Cause } from '../ca/revocation-cause.ts';
import { type Batch, newBatch } from '../db/batch.ts';
import { committed } from '../db/committed.ts';
import { type Instance, listChildren, listChildrenOfAgent } from '../registry/instance.ts';
import type { MarkingParts } from './parts.ts';
import { stopInSteps } from './steps.ts';
import { stoppingInstance } from './stopping-instance.ts';

/**
 * Kinds of rows of `unfinished_stop` that speak of what an instance, or the instances of an agent, let in, and not of
 * their own certificates.
 */
export const DESCENDANTS = { instance: 'descendants', agent: 'agent-descendants' } as const;

/** Who let in what is to be stopped. */
export type Progenitor =
  | { readonly kind: 'instance'; readonly id: string }
  | { readonly kind: 'agent'; readonly id: string };

/** Children that are read at once. */
const PAGE = 100;

/**
 * Pushes, for a record of a stop from before every stop was carried out by the cord, that whatever this instance (or any
 * of this agent) let in is to be stopped, too. Such a stop took it along where somebody else had the key, and left it
 * otherwise.
 */
export function beginDescendants(
  batch: Batch,
  of: Progenitor,
  { at, cause, caller }: { readonly at: number; readonly cause: Cause; readonly caller: string },
): void {
  if (CAUSES[cause] !== 'keyCompromise') return;
  beginStop(batch, { subject: subjectOf(of), stoppedAt: at, cause: 'cascade', stoppedBy: caller });
}

/**
 * Stops everything that was let in, directly or through others, whoever of them is stopped already. A parent that is
 * stopped, or whose agent is retired, lets nobody in, so below each of them the children are all there are.
 */
export async function stopDescendants(stop: UnfinishedStop, parts: MarkingParts): Promise<void> {
  const { reader } = parts;
  const own = { at: stop.stoppedAt, cause: stop.cause, caller: stop.stoppedBy };
  const parents: string[] = [];
  const stopAll = async (read: (after: string) => Promise<Instance[]>): Promise<void> => {
    for (let after = ''; ; ) {
      const children = await read(after);
      for (const child of children) {
        if (child.status !== 'stopped') await stopInSteps(stoppingInstance(child, own, parts), parts);
        parents.push(child.id);
      }
      if (children.length < PAGE) return;
      after = children.at(-1)!.id;
    }
  };
  const [kind, id] = stop.subject.split(':') as [string, string];
  if (kind === DESCENDANTS.agent) await stopAll((after) => listChildrenOfAgent(reader, id, after, PAGE));
  else parents.push(id);
  for (const parent of parents) await stopAll((after) => listChildren(reader, parent, after, PAGE));
  const batch = newBatch();
  finishStop(batch, stop.subject);
  batch.anchored = true;
  committed(await parts.commit(batch));
}

function subjectOf({ kind, id }: Progenitor): string {
  return `${DESCENDANTS[kind]}:${id}`;
}
