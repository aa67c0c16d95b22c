import { WritError } from '../../base/error.ts';
import type { WorkloadFacts } from '../../wire/workload.ts';
import type { CallerProcess } from '../process/table.ts';

/** What was seen of a process. */
export interface Seen {
  readonly facts: WorkloadFacts;
  /** What could not be seen, and why; for `writ agent why`. No secret. */
  readonly notes: readonly string[];
  /** The source did not answer: what it said before holds on. */
  readonly silent?: true;
  /** Which program was seen (`identityOf`), and under which path of this machine, if under any. */
  readonly program?: { readonly file: string; readonly path: string | undefined };
}

export const NOTHING: Seen = { facts: {}, notes: [] };

/** What collectors share about one process, read once. */
export interface Subject extends CallerProcess {
  /** Paths of its control groups by hierarchy: `''` for the unified one, `name=systemd`, `memory`, … */
  readonly cgroups: ReadonlyMap<string, string>;
}

/**
 * One source of facts. Never rejects for what a process is, nor for a service that does not answer; with `unavailable`
 * where this daemon itself cannot look (`unlessOfTheProcess`). `before`: what it said of the same process last.
 */
export interface Collector {
  readonly name: string;
  collect(subject: Subject, before?: Seen): Promise<Seen>;
}

/** What the kernel answers when a process has gone, or may not be seen. */
const OF_THE_PROCESS: ReadonlySet<unknown> = new Set(['ENOENT', 'ESRCH', 'EACCES', 'EPERM']);

/**
 * Throws `unavailable` where it says nothing of the process that something could not be read: the daemon has no descriptor
 * or memory left, or a file was replaced at that very moment. Facts that are missing for that reason would be taken for
 * another program, and whoever runs it would be quarantined.
 */
export function unlessOfTheProcess(error: unknown): void {
  if (error instanceof WritError) throw error;
  const { code = 'changed' } = error as NodeJS.ErrnoException;
  if (OF_THE_PROCESS.has(code)) return;
  throw new WritError('unavailable', `The daemon cannot look at processes now (${code}).`, {
    remedy: 'Try again in a moment.',
    cause: error,
  });
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
