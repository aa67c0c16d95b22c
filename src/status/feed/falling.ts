import type { Reader } from '../../db/database.ts';
import { coveredAgents, coveredInstances } from '../../registry/covered.ts';
import type { FeedEntry } from '../../wire/feed.ts';

/** Names that go with one entry at most; what is more follows with the certificates' own entries. */
const NAMED = 1024;
/** Pages that are looked through for instances, since everybody waits for the entry: a millisecond or less each. */
const PAGES = 32;

// Not of a team that is gone: another team may take its agents over at once, and nothing presses.
const HOLDS = 'SELECT descend FROM hold WHERE kind = ? AND target = ?';

/**
 * What falls with an entry that holds a team, a label or a family of instances, by names that relying parties know: its
 * agents, and the instances that were let in by what it names. So it is refused from the first commit of a stop on, while
 * the certificates are marked one by one behind it. Empty where the entry says all by itself, or is of a hold that has ended.
 */
export async function fallingWith(reader: Reader, { type, subjects }: FeedEntry): Promise<string[]> {
  const kind = type.slice(0, type.indexOf('.'));
  if (!type.endsWith('.quarantined') || kind === 'certificate' || kind === 'authority') return [];
  const target = subjects[0]!.slice(kind.length + 1);
  const found: string[] = [];
  const holds = await reader.all(HOLDS, [kind, target]);
  const descend = holds.some((row) => row['descend'] === 1);
  if (holds.length === 0) return [];
  const hold = { kind: kind as 'instance' | 'agent' | 'owner' | 'label', target, descend };
  const agents = new Set<string>();
  for await (const names of coveredAgents(reader, hold)) {
    for (const name of names) agents.add(name);
    // The entry of an agent names it already.
    if (kind !== 'agent') found.push(...names.map((name) => `agent:${name}`));
    if (found.length >= NAMED) break;
  }
  if (descend && found.length < NAMED) {
    let pages = 0;
    for await (const page of coveredInstances(reader, hold)) {
      for (const { id, agent, stopped } of page) {
        if (!stopped && !agents.has(agent) && id !== target) found.push(`instance:${id}`);
      }
      if (++pages === PAGES || found.length >= NAMED) break;
    }
  }
  return found.slice(0, NAMED);
}
