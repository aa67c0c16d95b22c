import { readFileSync } from 'node:fs';

/** Ticks a second: what Linux shows to programs on every machine that Node runs on. */
const TICKS = 100;

/** A process for people: its id, and when it began. */
export function describeProcess({ pid, started }: { readonly pid: number; readonly started: number }): string {
  try {
    const [, boot] = /^btime (\d+)$/m.exec(readFileSync('/proc/stat', 'latin1')) ?? [];
    return `pid ${pid}, started ${new Date((Number(boot) + started / TICKS) * 1000).toISOString()}`;
  } catch {
    return `pid ${pid}`;
  }
}

/** User and group of a process as they are now; undefined when there is none. */
export function ownersOf(pid: number): { readonly uid: number; readonly gid: number } | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/status`, 'latin1');
    // Real, effective, saved, file system: a socket would say the effective ones.
    const effective = (name: string): number => Number(new RegExp(`^${name}:\\s+\\d+\\s+(\\d+)`, 'm').exec(text)?.[1]);
    return { uid: effective('Uid'), gid: effective('Gid') };
  } catch {
    return undefined;
  }
}
