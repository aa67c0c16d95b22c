import { join } from 'node:path';
import { measureFirst } from './spiffe-first.ts';
import { openNode } from './spiffe-node.ts';
import { measureRotation } from './spiffe-rotation.ts';
import { measureStreams } from './spiffe-streams.ts';
import { measureTokens } from './spiffe-tokens.ts';

export interface SpiffeOptions {
  readonly quick: boolean;
  readonly progress: (text: string) => void;
}

/** Callers that are timed, and before them those that bring the compiler to rest. */
const CALLERS = { quick: 200, full: 1000, warm: 60 };
const STREAMS = 1000;

/** All figures about the Workload API: one server, and daemons of the product on one node, all processes of their own. */
export async function measureSpiffe(
  directory: string,
  { quick, progress }: SpiffeOptions,
): Promise<Record<string, number>> {
  const figures: Record<string, number> = {};
  const identities = quick ? 2000 : 10_000;
  progress(`spiffe: rotation of ${identities} identities`);
  Object.assign(figures, await measureRotation(identities));
  const node = await openNode(join(directory, 'writ-data'));
  try {
    const callers = quick ? CALLERS.quick : CALLERS.full;
    progress(`spiffe: first identity of ${CALLERS.warm} and then ${callers} processes`);
    Object.assign(figures, await measureFirst(node, { callers, warm: CALLERS.warm, progress }));
    progress('spiffe: tokens');
    Object.assign(figures, await measureTokens(node, { directory, rounds: quick ? 7 : 15 }));
    progress(`spiffe: ${STREAMS} streams`);
    Object.assign(figures, await measureStreams(node, STREAMS));
  } finally {
    await node.close();
  }
  return figures;
}
