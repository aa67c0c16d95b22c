import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

/** A program of this benchmark's, in a process of its own. */
export interface Running {
  readonly pid: number;
  /** What it printed first, as JSON. */
  readonly said: Readonly<Record<string, unknown>>;
  /** Asks it to end, waits until it has, and takes it down if it does not. */
  stop(): Promise<void>;
}

/** Whatever becomes of this process, none of those that it started stays behind. */
const children = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL');
});
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => process.exit(1));

const STOP_MS = 15_000;
const START_MS = 60_000;

interface Options {
  readonly cwd?: string;
  /** Beside this process's own environment. */
  readonly env?: Readonly<Record<string, string>>;
}

/** Starts a script on this Node and waits for the first line of JSON on its standard output. */
export async function run(args: readonly string[], { cwd, env }: Options = {}): Promise<Running> {
  const child = spawn(process.execPath, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
    ...(cwd !== undefined && { cwd }),
  });
  children.add(child);
  const ended = once(child, 'exit').then(() => children.delete(child));
  let complaints = '';
  child.stderr.on('data', (chunk: Buffer) => {
    complaints = (complaints + chunk.toString()).slice(-4000);
  });
  const said = await firstLine(child, ended).catch((error: Error) => {
    child.kill('SIGKILL');
    throw new Error(`${args.join(' ')}: ${error.message}\n${complaints}`);
  });
  return {
    pid: child.pid!,
    said,
    async stop() {
      child.kill('SIGTERM');
      const late = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
      await ended;
      clearTimeout(late);
    },
  };
}

async function firstLine(child: ChildProcess, ended: Promise<unknown>): Promise<Record<string, unknown>> {
  const lines = createInterface({ input: child.stdout! });
  const late = AbortSignal.timeout(START_MS);
  const line = once(lines, 'line', { signal: late }).then(([text]) => JSON.parse(text as string));
  return Promise.race([
    line,
    ended.then(() => {
      throw new Error('ended at once');
    }),
  ]);
}

/** Processor time that the threads which a process has now have used so far, in microseconds. */
export function processorTime(pid: number): number {
  let used = 0;
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    try {
      // Nanoseconds on a processor come first (Documentation/scheduler/sched-stats.rst). What a whole process used is told in
      // hundredths of a second alone (`/proc/PID/stat`), too coarse for what takes a tenth.
      used += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]) / 1000;
    } catch (error) {
      // It ended meanwhile.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
  if (used === 0) throw new Error('this kernel does not say what its threads use (CONFIG_SCHED_INFO)');
  return used;
}

/** Resident memory of a process in octets. */
export function residentMemory(pid: number): number {
  const line = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))!;
  return Number(line[1]) * 1024;
}
