import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { CERTIFICATES } from '../src/ca/index/certificates.ts';
import { dropOldestPartition } from '../src/db/partition-purge.ts';
import { issueForInstance } from '../src/issuance/issue-for-instance.ts';
import { renewCertificate } from '../src/issuance/renew.ts';
import { certificateList, certificatesAt } from '../src/report/certificates.ts';
import type { ReportParts } from '../src/report/parts.ts';
import { fillStore } from './fill.ts';
import { ADMINISTRATOR, type Member, makeFleet, newRequest } from './fleet.ts';
import { type Installation, makeInstallation, openInstallation } from './installation.ts';
import { type SharedClock, sharedClock } from './shared-clock.ts';
import { copyInstallation } from './stage.ts';
import { percentile } from './statistics.ts';

export interface GrowthOptions {
  readonly small: number;
  readonly large: number;
  readonly agents: number;
  /** Samples of each question and size. */
  readonly samples: number;
  readonly progress: (text: string) => void;
}

/** A store that was filled through the flows and the sequencer, with a clock that ran ahead. */
interface Store {
  readonly installation: Installation;
  readonly clock: SharedClock;
  readonly begun: number;
  readonly fleet: readonly Member[];
  readonly report: ReportParts;
}

/** A fleet of a thousand renews every forty minutes. */
const RENEWED_EVERY_MS = 2_400_000;
/** Certificates of the large store between two words of its progress. */
const TOLD_EVERY = 20_000;
const QUESTIONS = ['issue', 'renew', 'at', 'list'] as const;

/** How the same questions fare in a small and in a large store, sample by sample in turn; and how expired rows go. */
export async function measureGrowth(directory: string, options: GrowthOptions): Promise<Record<string, number>> {
  const { small, large } = await makeStores(directory, options);
  const grown = (await octets(large)) - (await octets(small));
  const times: Record<string, [number[], number[]]> = {};
  for (const question of QUESTIONS) {
    const [s, l]: [number[], number[]] = [[], []];
    for (const store of [small, large]) bringIntoMemory(store);
    for (let i = 0; i < 200; i++) for (const store of [small, large]) await ask(store, question, i);
    for (let i = 0; i < options.samples; i++) {
      s.push(await ask(small, question, i));
      l.push(await ask(large, question, i));
    }
    times[question] = [s, l];
  }
  const figures: Record<string, number> = {
    bytes_per_certificate: grown / (options.large - options.small),
  };
  for (const question of QUESTIONS) {
    const [s, l] = times[question]!;
    figures[`growth_${question}_p99_ms_small`] = percentile(s, 0.99);
    figures[`growth_${question}_p99_ms_large`] = percentile(l, 0.99);
    figures[`growth_${question}_ratio_p99`] = percentile(l, 0.99) / percentile(s, 0.99);
  }
  figures['growth_ratio_p99'] = Math.max(...QUESTIONS.map((question) => figures[`growth_${question}_ratio_p99`]!));
  options.progress('dropping what has expired, under load');
  Object.assign(figures, await measurePurge(large));
  for (const store of [small, large]) await store.installation.close();
  return figures;
}

/** The large store is the small one that has gone on. */
async function makeStores(
  directory: string,
  { small, large, agents, progress }: GrowthOptions,
): Promise<{ small: Store; large: Store }> {
  const begun = Date.now();
  const clock = clockAt(begun);
  const data = join(directory, 'small', 'writ-data');
  await makeInstallation(data, clock);
  const installation = await openInstallation(data, clock);
  const enrolled = await makeFleet(installation, agents, 1);
  const stepMs = RENEWED_EVERY_MS / agents;
  const fleet = await fillStore(installation, clock, enrolled, { count: small - agents, stepMs, progress: () => {} });
  await installation.close();
  const copy = await openStore(copyInstallation(data, join(directory, 'large')), clockAt(clock.now()), begun);
  let told = 0;
  const grown = await fillStore(copy.installation, copy.clock, fleet, {
    count: large - small,
    stepMs,
    progress: (done) => {
      if (done - told < TOLD_EVERY) return;
      told = done;
      progress(`${small + done} of ${large} certificates`);
    },
  });
  return { small: { ...(await openStore(data, clock, begun)), fleet }, large: { ...copy, fleet: grown } };
}

function clockAt(time: number): SharedClock {
  const clock = sharedClock();
  clock.set(time);
  return clock;
}

async function openStore(data: string, clock: SharedClock, begun: number): Promise<Omit<Store, 'fleet'>> {
  const installation = await openInstallation(data, clock);
  const { parts } = installation;
  const report: ReportParts = {
    reader: parts.reader,
    certificates: parts.certificates,
    authorize: parts.policy.authorize,
    refresh: parts.issuance.refresh,
    chain: (issuer) => parts.authority.chain(issuer),
    clock,
  };
  return { installation, clock, begun, report };
}

/** Milliseconds that one question took. */
async function ask(store: Store, question: (typeof QUESTIONS)[number], i: number): Promise<number> {
  const { installation, clock, begun, fleet, report } = store;
  const { issuance } = installation.parts;
  const member = fleet[i % fleet.length]!;
  clock.advance(10);
  installation.epoch.publish(installation.epoch.current(), clock.now());
  const request = question === 'issue' || question === 'renew' ? (await newRequest()).csr : undefined;
  const time = begun + Math.floor(Math.random() * (clock.now() - begun));
  const started = performance.now();
  if (question === 'issue') {
    await issueForInstance(ADMINISTRATOR, { instance: member.issued.instance!, csr: request! }, issuance);
  } else if (question === 'renew') {
    await renewCertificate(member.caller, { csr: request! }, issuance);
  } else if (question === 'at') {
    await certificatesAt(ADMINISTRATOR, { time }, { limit: 50 }, report);
  } else {
    await certificateList(ADMINISTRATOR, {}, { limit: 50 }, report);
  }
  return performance.now() - started;
}

/** Drops every closed partition, as the writer does past retention, while renewals go on; the longest of those. */
async function measurePurge({ installation, clock, fleet }: Store): Promise<Record<string, number>> {
  const { issuance } = installation.parts;
  let dropped = 0;
  let purging = true;
  const purge = (async () => {
    const past = clock.now() + 86_400_000;
    while ((await dropOldestPartition(installation.database, CERTIFICATES.name, past)) !== undefined) {
      dropped += 1;
      await pause(50);
    }
    purging = false;
  })();
  let longest = 0;
  for (let i = 0; purging; i++) {
    clock.advance(1);
    installation.epoch.publish(installation.epoch.current(), clock.now());
    const { csr } = await newRequest();
    const started = performance.now();
    await renewCertificate(fleet[i % fleet.length]!.caller, { csr }, issuance);
    longest = Math.max(longest, performance.now() - started);
  }
  await purge;
  return { purge_stall_ms: longest, purged_partitions: dropped };
}

/**
 * Reads the file of the database once, so that each question is asked of memory, as far as there is room. In another
 * process: whoever closes the file in this one takes SQLite's locks away.
 */
function bringIntoMemory({ installation }: Store): void {
  spawnSync('cat', [installation.directory.database], { stdio: 'ignore' });
}

/** What the database holds, whether it lies in its file yet or in the log beside it. */
async function octets({ installation }: Store): Promise<number> {
  const pages = await installation.database.get('PRAGMA page_count');
  const size = await installation.database.get('PRAGMA page_size');
  return Number(pages!['page_count']) * Number(size!['page_size']);
}
