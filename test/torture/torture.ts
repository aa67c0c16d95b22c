/**
 * `npm run torture -- --minutes N`: kills servers, databases and relying parties at random instants under a load of issues,
 * enrolments, renewals, replacements and revocations, in the middle of which two people stop the same crowd, and after each
 * kill, with everything started again the usual way, holds what clients were told against store, ledger and relying
 * parties. Ends with `N kills, N violations`. A machine so slow that too few kills were
 * made gets up to three times as long.
 *
 * `--seed N` fixes the choice of operations and of what is killed when (not, of course, where the program is just then).
 * `--sabotage` breaks one promise on purpose, to show that this would notice: then it fails, too, and has to.
 */
import { performance } from 'node:perf_hooks';
import { postgresMissing } from '../postgres.ts';
import { KILLS_A_MINUTE, LONGER, parseOptions, type TortureOptions } from './options.ts';
import { round } from './round.ts';
import type { Site } from './site.ts';
import { PostgresSite } from './site-postgres.ts';
import { SqliteSite } from './site-sqlite.ts';
import { Tally } from './tally.ts';

const options = parseOptions(process.argv.slice(2));
const print = (line: string): void => void process.stdout.write(`${line}\n`);
print(`seed ${options.seed}${options.sabotage === undefined ? '' : `, sabotage ${options.sabotage}`}`);

const missing = options.engines.includes('postgres') ? postgresMissing() : undefined;
if (missing !== undefined) print(`not tortured: ${missing}`);
const engines = options.engines.filter((engine) => engine === 'sqlite' || missing === undefined);
const tallies = engines.map((engine) => new Tally((line) => print(`${engine}: ${line}`)));
const sum = (of: (tally: Tally) => number): number => tallies.reduce((total, tally) => total + of(tally), 0);
const wanted = killsWanted(options);

// Who ends it gets no verdict, and nothing stays: on the exit of this process servers, points and directories go, too.
for (const [signal, number] of [
  ['SIGINT', 2],
  ['SIGTERM', 15],
  ['SIGHUP', 1],
] as const) {
  // Told twice, as by a launcher that hands it on, it would end in the middle of that.
  process.on(signal, () => {
    print(`ended by ${signal} after ${sum(({ kills }) => kills)} kills: no result`);
    process.exit(128 + number);
  });
}

await Promise.all(engines.map((engine, index) => torture(engine, index, options)));

const [kills, violations] = [sum((tally) => tally.kills), sum((tally) => tally.violations)];
print(`${sum((tally) => tally.releases)} releases, ${sum((tally) => tally.inFlight)} writes in flight at the kills`);
for (const tally of tallies) if (tally.violations > 0) print(`violations by kind: ${tally.kinds()}`);
if (kills < wanted) print(`too few kills: at least ${Math.ceil(wanted)} are needed`);
print(`${kills} kills, ${violations} violations`);
process.exit(violations > 0 || kills < wanted ? 1 : 0);

async function torture(engine: Site['engine'], index: number, given: TortureOptions): Promise<void> {
  const tally = tallies[index]!;
  const begun = performance.now();
  const more = (): boolean => {
    const took = performance.now() - begun;
    if (tally.kills >= given.kills) return false;
    return took < given.duration || (sum(({ kills: made }) => made) < wanted && took < given.duration * LONGER);
  };
  const sabotaged = {
    nodeFlags: ['--import', new URL('./sabotage/hooks.ts', import.meta.url).href],
    environment: { WRIT_SABOTAGE: given.sabotage },
  };
  const program = given.sabotage === undefined ? {} : sabotaged;
  for (let number = 0; more(); number++) {
    const site = engine === 'sqlite' ? new SqliteSite(tally, program) : new PostgresSite(tally, program);
    const seed = given.seed * 1009 + index * 500 + number;
    if (!(await round(site, tally, { seed, more, program })) && given.sabotage !== undefined) break;
  }
  print(`${engine}: ${summary(tally)}`);
}

/** Without so many kills a run has shown nothing. */
function killsWanted({ duration, kills }: TortureOptions): number {
  return Math.min((duration / 60_000) * KILLS_A_MINUTE, kills * engines.length);
}

function summary(tally: Tally): string {
  const starts = [...tally.starts].sort((a, b) => a - b);
  const median = Math.round(starts[Math.floor(starts.length / 2)] ?? 0);
  return (
    `${tally.kills} kills, ${tally.releases} releases (${tally.certificates} certificates, ${tally.stops} revoked), ` +
    `${tally.inFlight} in flight at the kills, ${tally.repeats} repeats, ${tally.receipts} receipts, ` +
    `${tally.proofs} consistency proofs, points ${tally.pointKills} killed and ${tally.cuts} cut off, ` +
    `${tally.presented} presented to them, ${tally.closed} of their connections closed, ${tally.effects} acknowledgements, starts ${median} ms (longest ${Math.round(starts.at(-1) ?? 0)} ms), ` +
    `${tally.lates.length} answers as before an end elsewhere (at most ${Math.round(Math.max(0, ...tally.lates))} ms after)`
  );
}
