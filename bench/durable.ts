import { join } from 'node:path';
import { startLoader } from './loader.ts';
import { processorTime, type Running, residentMemory, run } from './process.ts';
import { startServer } from './server.ts';
import { copyInstallation, type Stage } from './stage.ts';
import { median } from './statistics.ts';

export interface DurableOptions {
  /** Rounds in which each server has its turn, and milliseconds of a turn. */
  readonly rounds: number;
  readonly ms: number;
}

interface Turns {
  readonly cpu: number[];
  readonly rate: number[];
}

/** Requests under way at a time. */
const IN_FLIGHT = 256;
/**
 * Answers of each server before its first turn, for its compiler, which gains another tenth between 8 000 and 15 000; and
 * the most milliseconds that are spent on them.
 */
const WARM = 15_000;
const WARM_MS = 10_000;

/** Requests that each member of the fleet has ready, every one for a key of its own. */
const REQUESTS = 12;

/**
 * Durable issuance over keep-alive mutual TLS: a connection for each agent, renewals on all of them in turn. The product,
 * the product that stores nothing, and the baseline take turns under the same load generator.
 */
export async function measureDurable(
  directory: string,
  stage: Stage,
  options: DurableOptions,
): Promise<Record<string, number>> {
  const loader = await startLoader(stage.members, REQUESTS);
  try {
    const one = await withThreads(1, ['unstored', 'baseline']);
    const { stored, unstored, baseline } = one.of;
    const two = await withThreads(2, []);
    return {
      // Turns that follow each other meet the same machine, whatever else it does.
      durable_cpu_ratio: median(stored!.cpu.map((cpu, round) => cpu / baseline!.cpu[round]!)),
      durable_cpu_us: median(stored!.cpu),
      baseline_cpu_us: median(baseline!.cpu),
      storing_cost: 1 - median(stored!.rate.map((rate, round) => rate / unstored!.rate[round]!)),
      certs_per_s_1: median(stored!.rate),
      certs_per_s_1_unstored: median(unstored!.rate),
      baseline_per_s_1: median(baseline!.rate),
      certs_per_s_2: median(two.of['stored']!.rate),
      idle_memory_mb: one.idle / 1e6,
      loaded_memory_mb: one.loaded / 1e6,
    };
  } finally {
    loader.stop();
  }

  /** Measures the product, and in turn with it those of the others that are named. */
  async function withThreads(threads: number, others: readonly ('unstored' | 'baseline')[]) {
    const copy = (name: string): string => copyInstallation(stage.data, join(directory, `${name}-${threads}`));
    const product = await startServer({ data: copy('stored'), threads });
    const idle = residentMemory(product.pid);
    const servers: Record<string, readonly [Running, number]> = { stored: [product, product.port] };
    if (others.includes('unstored')) {
      const node = ['--import', join(import.meta.dirname, 'without-storing.ts')];
      const unstored = await startServer({ data: copy('unstored'), threads, node });
      servers['unstored'] = [unstored, unstored.port];
    }
    if (others.includes('baseline')) {
      const baseline = await run([join(import.meta.dirname, 'baseline.ts'), stage.baseline, `${threads}`]);
      servers['baseline'] = [baseline, baseline.said['port'] as number];
    }
    const of: Record<string, Turns> = {};
    for (const [name, [, port]] of Object.entries(servers)) {
      await loader.open(name, port);
      for (let [warm, spent] = [0, 0]; warm < WARM && spent < WARM_MS; ) {
        const { answers, ms } = await loader.run(name, { ms: 500, inFlight: IN_FLIGHT });
        warm += answers;
        spent += ms;
      }
      of[name] = { cpu: [], rate: [] };
    }
    for (let round = 0; round < options.rounds; round++) {
      for (const [name, [{ pid }]] of Object.entries(servers)) {
        const before = processorTime(pid);
        const { answers, ms } = await loader.run(name, { ms: options.ms, inFlight: IN_FLIGHT });
        of[name]!.cpu.push((processorTime(pid) - before) / answers);
        of[name]!.rate.push((answers / ms) * 1000);
      }
    }
    const loaded = residentMemory(product.pid);
    for (const [name, [server]] of Object.entries(servers)) {
      await loader.close(name);
      await server.stop();
    }
    return { of, idle, loaded };
  }
}
