import { readFile } from 'node:fs/promises';
import type { CallerProcess } from '../process-table.ts';
import { type Collector, parseCgroups, type Seen } from './collector.ts';

/** Octets of all facts of a process, as the server takes them. */
const MOST = 20 * 1024;

/**
 * Asks all collectors about a process; a later one's word replaces an earlier one's. What was read is of that process only
 * if it is alive afterwards: whoever calls this asks the process table then.
 */
export async function collectFacts(process: CallerProcess, collectors: readonly Collector[]): Promise<Seen> {
  const subject = { ...process, cgroups: await cgroupsOf(process.pid) };
  const seen = await Promise.all(collectors.map((collector) => collector.collect(subject)));
  const facts: Record<string, readonly string[]> = {};
  const notes = seen.flatMap((one) => one.notes);
  let size = 0;
  for (const [name, values] of seen.flatMap((one) => Object.entries(one.facts))) {
    const fit = values.filter((value) => value !== '' && value.isWellFormed() && !/\p{Cc}/u.test(value));
    size += JSON.stringify([name, fit]).length;
    if (fit.length > 0 && size <= MOST) facts[name] = fit;
    if (fit.length < values.length) notes.push(`${name}: a value is no text of one line`);
    else if (size > MOST) notes.push(`${name}: more was seen than can be told`);
  }
  return { facts, notes };
}

async function cgroupsOf(pid: number): Promise<ReadonlyMap<string, string>> {
  try {
    return parseCgroups(await readFile(`/proc/${pid}/cgroup`, 'latin1'));
  } catch {
    return new Map();
  }
}
