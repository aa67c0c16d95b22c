import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Command, Outcome } from './load.ts';

/** The load generator, as the process that steers it sees it. */
export interface Loader {
  open(server: string, port: number): Promise<void>;
  run(server: string, options: { readonly ms: number; readonly inFlight: number }): Promise<Outcome>;
  close(server: string): Promise<void>;
  stop(): void;
}

/** Starts it for the members in a file, each with `requests` requests of its own. */
export async function startLoader(memberFile: string, requests: number): Promise<Loader> {
  const child = fork(join(import.meta.dirname, 'load.ts'), [memberFile, `${requests}`]);
  // Each answer is waited for anew.
  child.setMaxListeners(0);
  const answer = async (): Promise<Outcome | undefined> => {
    const [said] = (await Promise.race([once(child, 'message'), once(child, 'exit')])) as [Said | number | null];
    if (typeof said !== 'object' || said === null) throw new Error('the load generator ended');
    if ('error' in said) throw new Error(`the load generator: ${said.error}`);
    return said.outcome;
  };
  const tell = (command: Command): Promise<Outcome | undefined> => {
    child.send(command);
    return answer();
  };
  await answer();
  return {
    open: async (server, port) => void (await tell({ do: 'open', server, port })),
    run: async (server, { ms, inFlight }) => (await tell({ do: 'run', server, ms, inFlight }))!,
    close: async (server) => void (await tell({ do: 'close', server })),
    stop: () => child.disconnect(),
  };
}

type Said = { readonly outcome: Outcome | undefined } | { readonly error: string };
