import type { WorkloadFacts } from '../../wire/workload.ts';
import type { CallerProcess } from '../process-table.ts';

/** What was seen of a process. */
export interface Seen {
  readonly facts: WorkloadFacts;
  /** What could not be seen, and why; for `writ agent why`. No secret. */
  readonly notes: readonly string[];
  /** The source did not answer: what it said before holds on. */
  readonly silent?: true;
}

export const NOTHING: Seen = { facts: {}, notes: [] };

/** What collectors share about one process, read once. */
export interface Subject extends CallerProcess {
  /** Paths of its control groups by hierarchy: `''` for the unified one, `name=systemd`, `memory`, … */
  readonly cgroups: ReadonlyMap<string, string>;
}

/** One source of facts. Never throws for what a process is, nor for a service that does not answer. */
export interface Collector {
  readonly name: string;
  collect(subject: Subject): Promise<Seen>;
}

/** The path by which systemd knows a process: of the unified hierarchy, or of its own. */
export function mainCgroup({ cgroups }: Subject): string | undefined {
  return cgroups.get('name=systemd') ?? cgroups.get('');
}

/** Lines of `/proc/PID/cgroup`: number, controllers, path (cgroups(7)). */
export function parseCgroups(text: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const line of text.split('\n')) {
    const [, controllers, path] = /^\d+:([^:]*):(\/.*)$/.exec(line) ?? [];
    if (controllers !== undefined && path !== undefined) found.set(controllers, path);
  }
  return found;
}
