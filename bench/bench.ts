/**
 * `npm run bench`: measures what the product promises (docs/BENCH.md), each as a ratio taken in one run. `--quick` takes
 * less than 150 s, `--json` prints one flat object, `--only core,durable,growth,start,revocation,spiffe` measures a part. The
 * last two are measured by themselves with `revocation` and `spiffe`, too, and not in a quick run of the others.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { measureCore } from './core.ts';
import { measureDurable } from './durable.ts';
import { measureGrowth } from './growth.ts';
import { LIMITS, LOWER_LIMITS } from './limits.ts';
import { measureRevocation } from './revocation.ts';
import { measureSpiffe } from './spiffe.ts';
import { makeStage } from './stage.ts';
import { measureStart } from './start.ts';

const AGENTS = 1000;
const SYNC_MS = 20_000;

/** Parts that a quick run of all leaves out. */
const BY_NAME = ['revocation', 'spiffe'];

const quick = process.argv.includes('--quick');
const json = process.argv.includes('--json');
const only = process.argv.includes('--only')
  ? process.argv[process.argv.indexOf('--only') + 1]?.split(',')
  : BY_NAME.find((part) => process.argv.includes(part))?.split(',');
const progress = (text: string): void => void process.stderr.write(`${text}\n`);

const directory = mkdtempSync(join(tmpdir(), 'writ-bench-'));
const figures: Record<string, number> = {};
try {
  await measure();
} finally {
  rmSync(directory, { recursive: true, force: true });
}
const rounded = Object.fromEntries(Object.entries(figures).map(([key, value]) => [key, Number(value.toPrecision(4))]));
if (json) process.stdout.write(`${JSON.stringify(rounded)}\n`);
else process.stdout.write(table(rounded));
process.exit(0);

/** Whether a part is measured now. If so, waits until what was written before is on the disk: commits would wait for that. */
function begins(part: string): boolean {
  const asked = only === undefined ? !(quick && BY_NAME.includes(part)) : only.includes(part);
  if (asked && spawnSync('sync', { timeout: SYNC_MS }).status !== 0) {
    progress(`${part}: what was written before is not all on the disk; what waits for the disk may wait for that, too`);
  }
  return asked;
}

async function measure(): Promise<void> {
  figures['cores'] = availableParallelism();
  figures['load_before'] = loadavg()[0]!;
  if (begins('start')) {
    progress('start: empty directory to first certificate');
    Object.assign(figures, await measureStart(directory, quick ? 3 : 9));
  }
  if (begins('core')) {
    progress('core: CSR in, certificate out');
    Object.assign(figures, await measureCore(join(directory, 'core'), AGENTS));
  }
  if (begins('durable')) {
    progress('durable: over keep-alive mutual TLS');
    const place = join(directory, 'durable');
    mkdirSync(place);
    const stage = await makeStage(place, AGENTS);
    const turns = quick ? { rounds: 5, ms: 1000 } : { rounds: 15, ms: 3000 };
    Object.assign(figures, await measureDurable(place, stage, turns));
  }
  if (begins('growth')) {
    progress('growth: the same questions in a small and a large store');
    const large = quick ? 200_000 : Number(process.env['WRIT_BENCH_LARGE'] ?? 10_000_000);
    const options = { small: 10_000, large, agents: AGENTS, samples: 5000, progress };
    Object.assign(figures, await measureGrowth(directory, options));
  }
  if (begins('revocation')) {
    const place = join(directory, 'revocation');
    mkdirSync(place);
    Object.assign(figures, await measureRevocation(place, { quick, progress }));
  }
  if (begins('spiffe')) {
    const place = join(directory, 'spiffe');
    mkdirSync(place);
    Object.assign(figures, await measureSpiffe(place, { quick, progress }));
  }
}

function table(measured: Readonly<Record<string, number>>): string {
  const width = Math.max(...Object.keys(measured).map((key) => key.length));
  const lines = Object.entries(measured).map(([key, value]) => {
    const [most, least] = [LIMITS[key], LOWER_LIMITS[key]];
    const held = (most === undefined || value <= most) && (least === undefined || value >= least);
    const bound = most !== undefined ? `≤ ${most}` : least !== undefined ? `≥ ${least}` : undefined;
    const judged = bound === undefined ? '' : `  ${held ? 'ok  ' : 'MISS'} ${bound}`;
    return `${key.padEnd(width)}  ${String(value).padStart(10)}${judged}`;
  });
  return `${lines.join('\n')}\n`;
}
