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
/** Answers of each server before its first turn, for its compiler; and the most milliseconds that are spent on them. */
const WARM = 8000;
const WARM_MS = 8000;

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
    const one = await withThreads(1);
    const unstored = one.unstored!;
    // What is lost to storing is asked of one thread alone.
    const two = await withThreads(2, false);
    return {
      durable_cpu_ratio: one.ratio,
      durable_cpu_us: one.stored.cpu,
      baseline_cpu_us: one.baseline.cpu,
      storing_cost: 1 - one.stored.rate / unstored.rate,
      certs_per_s_1: one.stored.rate,
      certs_per_s_1_unstored: unstored.rate,
      baseline_per_s_1: one.baseline.rate,
      certs_per_s_2: two.stored.rate,
      durable_cpu_ratio_2: two.ratio,
      idle_memory_mb: one.idle / 1e6,
      loaded_memory_mb: one.loaded / 1e6,
    };
  } finally {
    loader.stop();
  }

  async function withThreads(threads: number, alsoUnstored = true) {
    const copy = (name: string): string => copyInstallation(stage.data, join(directory, `${name}-${threads}`));
    const stored = await startServer({ data: copy('stored'), threads });
    const idle = residentMemory(stored.pid);
    const without = ['--import', join(import.meta.dirname, 'without-storing.ts')];
    const unstored = alsoUnstored ? await startServer({ data: copy('unstored'), threads, node: without }) : undefined;
    const baseline = await run([join(import.meta.dirname, 'baseline.ts'), stage.baseline, `${threads}`]);
    const servers: Readonly<Record<string, readonly [Running, number]>> = {
      stored: [stored, stored.port],
      ...(unstored && { unstored: [unstored, unstored.port] as const }),
      baseline: [baseline, baseline.said['port'] as number],
    };
    const turns: Record<string, Turns> = {};
    for (const [name, [, port]] of Object.entries(servers)) {
      await loader.open(name, port);
      for (let [warm, spent] = [0, 0]; warm < WARM && spent < WARM_MS; ) {
        const { answers, ms } = await loader.run(name, { ms: 500, inFlight: IN_FLIGHT });
        warm += answers;
        spent += ms;
      }
      turns[name] = { cpu: [], rate: [] };
    }
    for (let round = 0; round < options.rounds; round++) {
      for (const [name, [{ pid }]] of Object.entries(servers)) {
        const before = processorTime(pid);
        const { answers, ms } = await loader.run(name, { ms: options.ms, inFlight: IN_FLIGHT });
        turns[name]!.cpu.push((processorTime(pid) - before) / answers);
        turns[name]!.rate.push((answers / ms) * 1000);
      }
    }
    const loaded = residentMemory(stored.pid);
    for (const [name, [server]] of Object.entries(servers)) {
      await loader.close(name);
      await server.stop();
    }
    const of = (name: string) => ({ cpu: median(turns[name]!.cpu), rate: median(turns[name]!.rate) });
    // Turns that follow each other meet the same machine, whatever else it does.
    const ratio = median(turns['stored']!.cpu.map((cpu, round) => cpu / turns['baseline']!.cpu[round]!));
    const measured = { stored: of('stored'), baseline: of('baseline'), ratio, idle, loaded };
    return { ...measured, unstored: unstored && of('unstored') };
  }
}
