/**
 * `npm run limbo`: judges the published cases of X.509 path validation (C2SP x509-limbo) and says how many came out as
 * they should. Each case has a time limit, kept from outside: the validator runs in a thread that can be ended.
 *
 * `--verbose` adds a line for every case.
 */
import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { isMainThread, parentPort, Worker } from 'node:worker_threads';
import { judge, type LimboCase, type Verdict } from './limbo/judge.ts';
import { MOST_STRICTER, STRICTER } from './limbo/stricter.ts';

const VECTORS = resolve(import.meta.dirname, '../../shared/vectors/x509-limbo.json');
const TIME_LIMIT_MS = 5_000;

if (isMainThread) process.exitCode = await main();
else parentPort!.on('message', (given: LimboCase) => parentPort!.postMessage(answer(given)));

async function main(): Promise<number> {
  if (!existsSync(VECTORS)) {
    process.stderr.write(`limbo: there are no vectors at ${VECTORS}, so nothing was checked.\n`);
    return 1;
  }
  const cases: LimboCase[] = JSON.parse(readFileSync(VECTORS, 'utf8')).testcases;
  const verbose = process.argv.includes('--verbose');
  let passed = 0;
  let slowest = { id: '', ms: 0 };
  let worker = new Worker(import.meta.filename);
  for (const given of cases) {
    const start = performance.now();
    const verdict = await judgeWithin(worker, given);
    const ms = performance.now() - start;
    if (ms > slowest.ms) slowest = { id: given.id, ms };
    if (verdict === undefined) {
      await worker.terminate();
      worker = new Worker(import.meta.filename);
    }
    const complaint = complaintAbout(given, verdict);
    if (complaint === undefined) passed++;
    if (complaint !== undefined || verbose) {
      const outcome = complaint ?? `${verdict?.result} ${verdict?.reason}`;
      process.stdout.write(
        `${complaint === undefined ? 'ok  ' : 'FAIL'} ${given.id}: ${outcome} ${verdict?.detail ?? ''}\n`,
      );
    }
  }
  await worker.terminate();
  const stricter = Object.entries(STRICTER);
  for (const [id, { why }] of stricter) process.stdout.write(`stricter on purpose: ${id}: ${why}\n`);
  process.stdout.write(`slowest: ${slowest.id}, ${slowest.ms.toFixed(0)} ms\n`);
  const unknown = stricter.filter(([id]) => !cases.some((given) => given.id === id));
  for (const [id] of unknown) process.stdout.write(`FAIL ${id}: listed as stricter, but there is no such case\n`);
  const failed = cases.length - passed;
  process.stdout.write(`${passed} passed, ${failed} failed\n`);
  return failed === 0 && unknown.length === 0 && stricter.length <= MOST_STRICTER ? 0 : 1;
}

/** In the thread: the case without what only the harness may know. */
function answer(given: LimboCase): Verdict | { crash: string } {
  const [namespace = ''] = given.id.split('::');
  try {
    return judge({ ...given, id: '' }, namespace);
  } catch (error) {
    return { crash: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
}

/** The verdict, or undefined when the time limit passed. A crash of the validator ends the run. */
function judgeWithin(worker: Worker, given: LimboCase): Promise<Verdict | undefined> {
  return new Promise((settle, reject) => {
    const timer = setTimeout(() => done(undefined), TIME_LIMIT_MS);
    const done = (verdict: Verdict | { crash: string } | undefined): void => {
      clearTimeout(timer);
      worker.off('message', done).off('error', reject);
      if (verdict !== undefined && 'crash' in verdict) reject(new Error(`${given.id}: ${verdict.crash}`));
      else settle(verdict);
    };
    worker.on('message', done).on('error', reject);
    worker.postMessage(given);
  });
}

/** What is wrong with the verdict on a case; undefined when it is as it should be. */
function complaintAbout({ id, expected_result }: LimboCase, verdict: Verdict | undefined): string | undefined {
  if (verdict === undefined) return `no answer within ${TIME_LIMIT_MS} ms`;
  const stricter = STRICTER[id];
  if (stricter === undefined) {
    return verdict.result === expected_result
      ? undefined
      : `${verdict.result}, ${expected_result} expected: ${verdict.reason}`;
  }
  if (expected_result === 'FAILURE') return 'listed as stricter, but a failure is what the suite expects';
  if (verdict.result === 'SUCCESS') return 'listed as stricter, but accepted: take it off the list';
  return verdict.reason === stricter.reason ? undefined : `refused for ${verdict.reason}, not for ${stricter.reason}`;
}
