/**
 * `npm run fuzz`: feeds every parser that takes bytes from outside with mutations of its corpus, and looks for anything
 * but acceptance and a typed refusal: crashes, hangs, memory, slow or superlinear work, accepted forgeries.
 *
 *     npm run fuzz -- --seconds 60        all parsers, the time shared evenly (default 60)
 *     npm run fuzz -- --inputs 10000      a fixed number for each, which repeats exactly with the same --seed
 *     npm run fuzz -- --seed 7            other choices (default 1)
 *     npm run fuzz -- --only csr,crl      these parsers alone
 *     npm run fuzz -- --only csr --file F one input again
 *     npm run fuzz -- --planted           parsers with a planted bug: fails, saying that each was found
 *     npm run fuzz -- --make-corpus       writes test/fuzz/corpus anew
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { readCorpus } from './corpus.ts';
import { type Defect, fuzz, isDefect, type Report, run } from './engine.ts';
import { findSuperlinear } from './growth.ts';
import { choices } from './random.ts';
import type { Target } from './target.ts';
import { corpusOf, PLANTED } from './targets/planted.ts';
import { TARGETS } from './targets.ts';

interface Job {
  readonly name: string;
  readonly seed: number;
  readonly inputs: number;
  readonly ms: number;
  /** One count of inputs begun, one length, then the input that is being run. */
  readonly shared: SharedArrayBuffer;
}

const HEADER_BYTES = 8;
/** Part of the time that goes into the search for superlinear work. */
const GROWTH_SHARE = 0.25;
const HANG_MS = 10_000;
const MOST_MEMORY_MB = 512;
const EVERY: readonly Target[] = [...TARGETS, ...PLANTED];

if (isMainThread) process.exitCode = await main();
else parentPort!.postMessage(work(workerData as Job));

async function main(): Promise<number> {
  const { values: options } = parseArgs({
    options: {
      seconds: { type: 'string', default: '60' },
      inputs: { type: 'string' },
      seed: { type: 'string', default: '1' },
      only: { type: 'string' },
      file: { type: 'string' },
      planted: { type: 'boolean', default: false },
      'make-corpus': { type: 'boolean', default: false },
    },
  });
  if (options['make-corpus']) {
    const { makeCorpus } = await import('./make-corpus.ts');
    await makeCorpus();
    return 0;
  }
  const only = options.only?.split(',');
  const targets = (options.planted ? PLANTED : TARGETS).filter(({ name }) => only === undefined || only.includes(name));
  if (targets.length === 0) throw new Error('fuzz: no parser has that name');
  if (options.file !== undefined) return again(targets[0]!, options.file);
  const inputs = Number(options.inputs ?? Number.POSITIVE_INFINITY);
  const share =
    options.inputs === undefined ? (Number(options.seconds) * 1000) / targets.length : Number.POSITIVE_INFINITY;
  const reports: Report[] = [];
  let startUp = 0;
  for (const { name, longest } of targets) {
    const begun = performance.now();
    const ms = Math.max(share / 4, share - startUp);
    const shared = new SharedArrayBuffer(HEADER_BYTES + longest);
    const report = await inThread({ name, seed: Number(options.seed), inputs, ms, shared });
    // A thread takes a while to start; the next one gets so much less, so that all keep to the time that was asked for.
    startUp = Math.max(0, performance.now() - begun - ms);
    process.stdout.write(`${line(report)}\n`);
    for (const defect of report.defects) process.stdout.write(`  ${describe(name, defect)}\n`);
    reports.push(report);
  }
  return options.planted ? verdictOnPlanted(reports) : verdict(reports);
}

function verdict(reports: readonly Report[]): number {
  const inputs = reports.reduce((sum, report) => sum + report.inputs, 0);
  const sites = reports.reduce((sum, report) => sum + report.sites.length, 0);
  const defects = reports.reduce((sum, report) => sum + report.defects.length, 0);
  process.stdout.write(`${reports.length} parsers, ${inputs} inputs, ${sites} error sites, ${defects} defects\n`);
  return defects === 0 ? 0 : 1;
}

/** A planted bug must be found, and finding one is a failure of the run as any other find. */
function verdictOnPlanted(reports: readonly Report[]): number {
  const missed = reports.filter(({ defects }) => defects.length === 0);
  for (const { name } of missed) process.stdout.write(`planted bug NOT found: ${name}\n`);
  if (missed.length > 0) return 2;
  process.stdout.write(`${reports.length} planted bugs, all found\n`);
  return 1;
}

/** In the thread: a quarter of the time for growth, the rest for mutations. */
function work({ name, seed, inputs, ms, shared }: Job): Report {
  const target = EVERY.find((each) => each.name === name)!;
  const corpus = readCorpus(corpusOf(target)).map(({ bytes }) => bytes);
  const header = new Int32Array(shared, 0, 2);
  const space = new Uint8Array(shared, HEADER_BYTES);
  const watch = (input: Uint8Array): void => {
    space.set(input.subarray(0, space.length));
    Atomics.store(header, 1, Math.min(input.length, space.length));
    Atomics.add(header, 0, 1);
  };
  const growthMs = Number.isFinite(ms) ? ms * GROWTH_SHARE : 500;
  const superlinear = findSuperlinear(watched(target, watch), corpus, { random: choices(seed + 1), ms: growthMs });
  const report = fuzz(
    target,
    corpus,
    { seed, inputs, ms: ms - growthMs, untilDefect: PLANTED.includes(target) },
    watch,
  );
  return { ...report, defects: [...superlinear, ...report.defects] };
}

function watched(target: Target, watch: (input: Uint8Array) => void): Target {
  const watchAndRun = (input: Uint8Array): void => {
    watch(input);
    target.run(input);
  };
  return { ...target, run: watchAndRun };
}

/** Runs a job in a thread of its own, which is ended when it hangs or eats too much. */
function inThread(job: Job): Promise<Report> {
  const header = new Int32Array(job.shared, 0, 2);
  const current = (): Uint8Array =>
    new Uint8Array(job.shared.slice(HEADER_BYTES, HEADER_BYTES + Atomics.load(header, 1)));
  const stopped = (kind: Defect['kind'], detail: string): Report => ({
    name: job.name,
    inputs: Atomics.load(header, 0),
    accepted: 0,
    sites: [],
    slowestMs: Number.NaN,
    defects: [{ kind, detail, input: current() }],
  });
  return new Promise((settle, reject) => {
    const worker = new Worker(import.meta.filename, {
      workerData: job,
      resourceLimits: { maxOldGenerationSizeMb: MOST_MEMORY_MB },
    });
    let seen = -1;
    const watchdog = setInterval(() => {
      const begun = Atomics.load(header, 0);
      if (begun === seen) {
        void worker.terminate();
        settle(stopped('hang', `no end after ${HANG_MS} ms`));
      }
      seen = begun;
    }, HANG_MS);
    worker.on('message', settle);
    worker.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ERR_WORKER_OUT_OF_MEMORY') settle(stopped('out of memory', `more than ${MOST_MEMORY_MB} MB`));
      else reject(error);
    });
    worker.on('exit', () => clearInterval(watchdog));
  });
}

function line({ name, inputs, accepted, sites, slowestMs }: Report): string {
  const counts = `${inputs} inputs, ${accepted} accepted, ${sites.length} error sites`;
  return `${name.padEnd(28)} ${counts}, slowest ${slowestMs.toFixed(1)} ms`;
}

/** Keeps the input where it can be found again, and says how to run it. */
function describe(name: string, { kind, detail, input }: Defect): string {
  const folder = join(tmpdir(), 'writ-fuzz');
  mkdirSync(folder, { recursive: true });
  const file = join(folder, createHash('sha256').update(input).digest('hex').slice(0, 16));
  writeFileSync(file, input);
  return `DEFECT ${kind}: ${detail}; npm run fuzz -- --only '${name}' --file ${file}`;
}

function again(target: Target, file: string): number {
  const { outcome, ms } = run(target, new Uint8Array(readFileSync(file)));
  const said = isDefect(outcome) ? `${outcome.kind}: ${outcome.detail}` : String(outcome);
  process.stdout.write(`${target.name}: ${said} (${ms.toFixed(1)} ms)\n`);
  return isDefect(outcome) ? 1 : 0;
}
