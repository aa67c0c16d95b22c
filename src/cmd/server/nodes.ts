import { hasEntries } from '../../attest/entry/store.ts';
import type { Caller } from '../../base/access.ts';
import { Memo } from '../../base/memo.ts';
import type { ThreadParts } from './thread-parts.ts';

/** For so long, in milliseconds, an answer is given again: an entry that is created or removed moves no epoch. */
const KNOWN_MS = 2000;
/** Services that one thread knows it of. */
const SERVICES = 4096;

/** Tells whether a caller is a node: an instance of a service for which there are registration entries. */
export function nodeTest({
  reader,
  clock,
}: Pick<ThreadParts, 'reader' | 'clock'>): (caller: Caller) => boolean | Promise<boolean> {
  const known = new Memo<{ readonly is: boolean; readonly at: number }>(SERVICES);
  const look = async (node: string, at: number): Promise<boolean> =>
    known.set(node, { is: await hasEntries(reader, { node }), at }).is;
  return ({ kind, agent, instance }) => {
    if (kind !== 'service' || agent === undefined || instance === undefined) return false;
    const now = clock.now();
    const found = known.get(agent);
    return found !== undefined && Math.abs(now - found.at) < KNOWN_MS ? found.is : look(agent, now);
  };
}
