/** Runs the real program as child processes, the way a user does, for tests that kill it, starve it or read all it says. */
import { type ChildProcess, spawn } from 'node:child_process';
import { join, resolve } from 'node:path';

const ROOT: string = resolve(import.meta.dirname, '..');
const MAIN: string = join(ROOT, 'src/cmd/main.ts');
/** Where Node keeps what it made of the sources, as the launcher tells it to: with it a start takes half as long. */
const CACHE: string = join(ROOT, 'node_modules/.cache/writ');
/** Long enough for a machine that has ten other things to do; what hangs, hangs longer. */
const READY_MS = 90_000;

export interface ProgramOptions {
  readonly cwd?: string;
  /** Added to this process's own environment; undefined takes a variable out. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** Put before the program's own line: flags of Node. */
  readonly nodeFlags?: readonly string[];
  /** A command that runs the program: its words come first, e.g. `['prlimit', '--fsize=100000']`. */
  readonly under?: readonly string[];
}

/** How a process ended, and all it said. */
export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Everything that was started here and still runs dies with this process. */
const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** Runs one command line to its end. */
export function writ(args: readonly string[], options: ProgramOptions = {}): Promise<Ended> {
  return launch(args, options).ended;
}

export interface RunningServer {
  /** `https://host:port` of the API. */
  readonly api: string;
  /** `https://host:port` of the listener that asks for no certificate. */
  readonly open: string;
  readonly plain: string;
  /** Milliseconds from the launch to the line that says it runs. */
  readonly startMs: number;
  readonly pid: number;
  /** Resolves when the process is gone, however it went. */
  readonly ended: Promise<Ended>;
  /** `kill -9`; resolves when the process is gone. */
  kill(): Promise<Ended>;
  /** Asks it to stop, as `systemd` does. */
  stop(): Promise<Ended>;
}

/** Thrown by `startServer` when the program ended instead of listening. */
export class DidNotStart extends Error {
  readonly ended: Ended;
  constructor(ended: Ended) {
    super(`the server did not start (${ended.signal ?? ended.code}): ${ended.stderr.trim().slice(-800)}`);
    this.ended = ended;
  }
}

/** Runs `writ start` on free ports of the loopback address and answers when it says that it runs. */
export async function startServer(
  data: string,
  options: ProgramOptions & { readonly args?: readonly string[] } = {},
): Promise<RunningServer> {
  const begun = performance.now();
  const ports = ['--listen', '127.0.0.1:0', '--listen-public', '127.0.0.1:0', '--listen-plain', '127.0.0.1:0'];
  const args = ['start', '--json', '--data', data, ...ports, ...(options.args ?? [])];
  const { child, ended, firstLine } = launch(args, options);
  const timer = setTimeout(() => child.kill('SIGKILL'), READY_MS);
  try {
    const first = await Promise.race([firstLine, ended]);
    if (typeof first !== 'string') throw new DidNotStart(first);
    const { api, public: open, plain } = JSON.parse(first) as Record<'api' | 'public' | 'plain', string>;
    const end = (signal: NodeJS.Signals) => (): Promise<Ended> => {
      for (const one of held) one.ref();
      child.kill(signal);
      return ended;
    };
    // A test that forgets its server ends all the same, and the server with it.
    const held = [child, child.stdout, child.stderr] as unknown as readonly { ref(): void; unref(): void }[];
    for (const one of held) one.unref();
    const startMs = performance.now() - begun;
    return { api, open, plain, startMs, pid: child.pid!, ended, kill: end('SIGKILL'), stop: end('SIGTERM') };
  } finally {
    clearTimeout(timer);
  }
}

function launch(
  args: readonly string[],
  { cwd, environment = {}, nodeFlags = [], under = [] }: ProgramOptions,
): { child: ChildProcess; ended: Promise<Ended>; firstLine: Promise<string> } {
  const [command, ...rest] = [...under, process.execPath, ...nodeFlags, MAIN, ...args];
  const env: NodeJS.ProcessEnv = { ...process.env, NODE_COMPILE_CACHE: CACHE, ...environment };
  for (const [name, value] of Object.entries(environment)) if (value === undefined) delete env[name];
  // What a test run sets for itself is no business of the program's.
  delete env['NODE_TEST_CONTEXT'];
  const child = spawn(command!, rest, {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(cwd === undefined ? {} : { cwd }),
  });
  running.add(child);
  let [stdout, stderr] = ['', ''];
  child.stderr!.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  const firstLine = new Promise<string>((found) => {
    child.stdout!.on('data', (chunk: Buffer) => {
      stdout += chunk.toString();
      if (stdout.includes('\n')) found(stdout.slice(0, stdout.indexOf('\n')));
    });
  });
  const ended = new Promise<Ended>((end, fail) => {
    child.once('error', fail);
    child.once('close', (code, signal) => {
      running.delete(child);
      end({ code, signal, stdout, stderr });
    });
  });
  return { child, ended, firstLine };
}
