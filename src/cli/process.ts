import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:os';
import { WritError } from '../base/error.ts';

export interface ProcessOptions {
  /** Added to this process's own. */
  readonly environment: Readonly<Record<string, string>>;
  /** Called when it runs, with what sends it a signal. */
  readonly begun?: (send: (signal: NodeJS.Signals) => void) => void;
}

/** Runs a program to its end on this terminal, passing on signals; gives its exit code, or 128 + n when signal n ended it. */
export async function runProcess(
  [program, ...args]: readonly string[],
  { environment, begun }: ProcessOptions,
): Promise<number> {
  const child = spawn(program!, args, { stdio: 'inherit', env: { ...process.env, ...environment } });
  const pass = (name: NodeJS.Signals): void => {
    // A terminal sends Ctrl-C to the whole group; once is enough.
    if (name !== 'SIGINT' || process.stdin.isTTY !== true) child.kill(name);
  };
  for (const name of PASSED) process.on(name, pass);
  begun?.((signal) => child.kill(signal));
  try {
    const [code, ended] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
    return code ?? 128 + (ended === null ? 0 : constants.signals[ended]);
  } catch (cause) {
    throw new WritError(
      'not_found',
      `The program cannot be run: ${(cause as NodeJS.ErrnoException).code ?? 'unknown'}`,
      {
        field: 'program',
        remedy: `Check that ${program} exists and may be executed.`,
        cause,
      },
    );
  } finally {
    for (const name of PASSED) process.off(name, pass);
  }
}

const PASSED = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** A signal by its name. Throws `bad_request` for what is none. */
export function parseSignal(name: string | undefined, flag: string): NodeJS.Signals | undefined {
  if (name === undefined) return undefined;
  const full = name.startsWith('SIG') ? name : `SIG${name}`;
  if (full in constants.signals) return full as NodeJS.Signals;
  throw new WritError('bad_request', 'There is no such signal', { field: flag, remedy: 'Use e.g. SIGHUP.' });
}
