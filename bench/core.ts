import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { THREAD_LIMITS } from '../src/cmd/server/threads.ts';

/** What the thread is told. */
export interface CoreTask {
  /** For its installation. */
  readonly directory: string;
  readonly agents: number;
}

/** Measures the issuing core in one thread of the kind that serves requests: `core-thread.ts` says how. */
export async function measureCore(directory: string, agents: number): Promise<Record<string, number>> {
  const thread = new Worker(new URL('core-thread.ts', import.meta.url), {
    workerData: { directory, agents } satisfies CoreTask,
    resourceLimits: THREAD_LIMITS,
  });
  const [figures] = (await once(thread, 'message')) as [Record<string, number>];
  await once(thread, 'exit');
  return figures;
}
