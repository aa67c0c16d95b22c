import { setTimeout as pause } from 'node:timers/promises';
import { openCodecs } from '../src/grpc/codec.ts';
import { WORKLOAD_FILE, x509SvidRequest, x509SvidResponse } from '../src/sdk/workload-api/messages.ts';
import { inFlight } from './in-flight.ts';
import { residentMemory } from './process.ts';
import { type Node, openWorkloadClient } from './spiffe-node.ts';

/** Connections that are opened at once. */
const OPENING = 32;
/** A daemon asks for its entries every five seconds. */
const TOLD_MS = 60_000;

/**
 * `streams`: streams of X.509-SVIDs on one daemon at once, each on a connection of its own, all of which have heard of a
 * change at the end. `streams_memory_mb` is the daemon's resident memory with them, `stream_kb` what each adds.
 * `streams_told_ms`: from the first that heard of the change to the last.
 */
export async function measureStreams(node: Node, count: number): Promise<Record<string, number>> {
  const daemon = await node.daemon();
  const codecs = openCodecs(WORKLOAD_FILE);
  const method = {
    path: '/SpiffeWorkloadAPI/FetchX509SVID',
    request: codecs.of(x509SvidRequest),
    response: codecs.of(x509SvidResponse),
  };
  const clients = Array.from({ length: count }, () => openWorkloadClient(daemon.socket));
  const opened = new Set<number>();
  /** Identities before the change, and when each stream first had more. */
  let known = 0;
  const told = new Map<number, number>();
  let open = 0;
  const subscribe = (n: number): Promise<void> =>
    new Promise((resolve, reject) => {
      const call = clients[n]!.serverStream(method, {});
      const read = async (): Promise<void> => {
        open += 1;
        for await (const { svids } of call.messages()) {
          if (!opened.has(n)) known = svids.length;
          else if (svids.length > known && !told.has(n)) told.set(n, performance.now());
          opened.add(n);
          resolve();
        }
        open -= 1;
        reject(new Error(`a stream ended: ${(await call.status).code}`));
      };
      read().catch(reject);
    });
  try {
    // The first brings the identity, and what every daemon with a caller has in memory.
    await subscribe(0);
    await pause(2000);
    const before = residentMemory(daemon.pid);
    await inFlight(count - 1, (n) => subscribe(n + 1), OPENING);
    await pause(2000);
    const memory = residentMemory(daemon.pid);
    await node.addEntry();
    const late = performance.now() + TOLD_MS;
    while (told.size < count && open === count && performance.now() < late) await pause(20);
    if (told.size < count || open < count)
      throw new Error(`${told.size} of ${count} streams heard of a change, ${open} are open`);
    const times = [...told.values()];
    return {
      streams: open,
      streams_memory_mb: memory / 1e6,
      stream_kb: Math.max(0, memory - before) / 1024 / (count - 1),
      streams_told_ms: Math.max(...times) - Math.min(...times),
    };
  } finally {
    for (const client of clients) client.close();
    await daemon.stop();
  }
}
