import { readFileSync } from 'node:fs';
import type { CallerProcess } from '../process/table.ts';
import { type Collector, parseCgroups, type Seen, unlessOfTheProcess } from './collector.ts';

/** Octets of all facts of a process, as the server takes them. */
const MOST = 20 * 1024;

/** All that was seen of a process, and by whom. */
export interface Whole extends Seen {
  readonly parts: ReadonlyMap<string, Seen>;
  /** Its control groups, as one text. */
  readonly groups: string;
}

/**
 * Asks all collectors about a process; a later one's word replaces an earlier one's. Where a source does not answer, what it
 * said `before` holds on, as long as the process is in the same control groups: that a service of the machine is away says
 * nothing about who runs. What was read is of that process only if it is alive afterwards: whoever calls this asks the
 * process table then. Rejects with `unavailable` where the daemon itself cannot look.
 */
export async function collectFacts(
  process: CallerProcess,
  collectors: readonly Collector[],
  before?: Whole,
): Promise<Whole> {
  const cgroups = cgroupsOf(process.pid);
  const groups = JSON.stringify([...cgroups]);
  const parts = new Map(
    await Promise.all(
      collectors.map(async (collector): Promise<[string, Seen]> => {
        const seen = await collector.collect({ ...process, cgroups }, before?.parts.get(collector.name));
        const known = before?.groups === groups ? before.parts.get(collector.name) : undefined;
        const kept = seen.silent === true && known !== undefined ? { ...seen, facts: known.facts } : seen;
        return [collector.name, kept];
      }),
    ),
  );
  const facts: Record<string, readonly string[]> = {};
  const notes = [...parts.values()].flatMap((one) => one.notes);
  let size = 0;
  for (const [name, values] of [...parts.values()].flatMap((one) => Object.entries(one.facts))) {
    const fit = values.filter((value) => value !== '' && value.isWellFormed() && !/\p{Cc}/u.test(value));
    size += JSON.stringify([name, fit]).length;
    if (fit.length > 0 && size <= MOST) facts[name] = fit;
    if (fit.length < values.length) notes.push(`${name}: a value is no text of one line`);
    else if (size > MOST) notes.push(`${name}: more was seen than can be told`);
  }
  const program = [...parts.values()].find((one) => one.program !== undefined)?.program;
  return { facts, notes, parts, groups, ...(program === undefined ? {} : { program }) };
}

/** Read at once, as all that the kernel has in memory: to hand it to another thread and back takes longer than to read it. */
function cgroupsOf(pid: number): ReadonlyMap<string, string> {
  try {
    return parseCgroups(readFileSync(`/proc/${pid}/cgroup`, 'latin1'));
  } catch (error) {
    unlessOfTheProcess(error);
    return new Map();
  }
}
