import { setTimeout as pause } from 'node:timers/promises';
import { Child } from './child.ts';
import { inFlight } from './in-flight.ts';
import { processorTime } from './process.ts';
import type { CallerAnswer } from './spiffe-caller.ts';
import type { Node } from './spiffe-node.ts';
import { percentile } from './statistics.ts';

/** Callers that stand ready at a time, and of which so many start at once. */
const BATCH = 20;
const STARTING = 4;
/** After callers have gone: their instances are stopped meanwhile, which is not to be in what is timed. */
const QUIET_MS = 1000;

/**
 * `first_svid_ms_p99`: processes that call for the first time, one after the other, each a new instance: from the
 * connection being asked for to the last octet of the message with its certificate and key. `first_svid_daemon_ms` and
 * `first_svid_server_ms` are the processor time of each on average, which other users of the machine stretch less.
 */
export async function measureFirst(
  node: Node,
  options: { readonly callers: number; readonly warm: number; readonly progress: (text: string) => void },
): Promise<Record<string, number>> {
  const { callers, warm, progress } = options;
  const daemon = await node.daemon();
  try {
    await measureBatches(warm);
    const { times, ids, used } = await measureBatches(callers);
    if (ids.size !== callers) throw new Error(`${ids.size} identities for ${callers} processes`);
    return {
      first_svid_callers: callers,
      first_svid_ms_p50: percentile(times, 0.5),
      first_svid_ms_p99: percentile(times, 0.99),
      first_svid_daemon_ms: used.daemon / callers / 1000,
      first_svid_server_ms: used.server / callers / 1000,
    };
  } finally {
    await daemon.stop();
  }

  async function measureBatches(count: number): Promise<Outcome> {
    const outcome: Outcome = { times: [], ids: new Set(), used: { daemon: 0, server: 0 } };
    while (outcome.times.length < count) {
      await measureBatch(Math.min(BATCH, count - outcome.times.length), outcome);
      progress(`spiffe: ${outcome.times.length} of ${count} processes`);
    }
    return outcome;
  }

  async function measureBatch(count: number, { times, ids, used }: Outcome): Promise<void> {
    const ready: Child<object, CallerAnswer>[] = [];
    try {
      const start = async (): Promise<void> => {
        const child = new Child<object, CallerAnswer>('spiffe-caller.ts', [daemon.socket]);
        ready.push(child);
        await child.hear('ready');
      };
      await inFlight(count, start, STARTING);
      await pause(QUIET_MS);
      const before = { daemon: processorTime(daemon.pid), server: processorTime(node.server) };
      for (const child of ready) {
        const { ms, spiffeId } = await child.ask({}, 'got');
        times.push(ms);
        ids.add(spiffeId);
      }
      used.daemon += processorTime(daemon.pid) - before.daemon;
      used.server += processorTime(node.server) - before.server;
    } finally {
      await Promise.all(ready.map((child) => child.stop()));
    }
  }
}

interface Outcome {
  readonly times: number[];
  readonly ids: Set<string>;
  /** Microseconds of processor time. */
  readonly used: { daemon: number; server: number };
}
