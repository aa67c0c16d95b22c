import { readUnfinishedStops } from '../../ca/index/unfinished-stop.ts';
import { finishStops } from '../../revocation/finish.ts';
import type { MarkingParts } from '../../revocation/parts.ts';
import { readUnmarkedStops } from '../../revocation/stop-store.ts';

/**
 * Finishes stops that whoever began them has left: its process ended, or its database was away for a moment. A start does so,
 * too, but what is held must not wait for its end until then. A stop counts as left when it is there at two looks in a row;
 * one that is merely long is finished by both, which does no harm. Gives the number of stops finished by a look.
 */
export function leftStops(parts: MarkingParts): () => Promise<number> {
  let before: ReadonlySet<string> = new Set();
  return async () => {
    const subjects = (await readUnfinishedStops(parts.reader)).map(({ subject }) => subject);
    subjects.push(...(await readUnmarkedStops(parts.reader)).map(({ id }) => id));
    const left = subjects.some((subject) => before.has(subject));
    before = new Set(subjects);
    return left ? finishStops(parts) : 0;
  };
}
