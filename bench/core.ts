import { join } from 'node:path';
import { NODE_FLAGS, SERVER_ENVIRONMENT } from '../bin/node-flags.js';
import { run } from './process.ts';

/** Measures the issuing core in one thread, of a process like a server's: `core-thread.ts` says how. */
export async function measureCore(directory: string, agents: number): Promise<Record<string, number>> {
  const script = join(import.meta.dirname, 'core-thread.ts');
  const running = await run([...NODE_FLAGS, script, directory, `${agents}`], { env: SERVER_ENVIRONMENT });
  await running.stop();
  return running.said as Record<string, number>;
}
