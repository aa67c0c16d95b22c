import { generateKeyPairSync } from 'node:crypto';
import { mock } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { createGate } from '../src/agent/gate.ts';
import type { NodeServer } from '../src/agent/server.ts';
import { Child } from '../src/agent/workloads/child.ts';
import { Rotation } from '../src/agent/workloads/rotation.ts';
import { manualClock } from '../src/base/clock.ts';
import { BACKDATED_MS, type Credential } from '../src/sdk/identity/credential.ts';
import type { Entry } from '../src/wire/entry.ts';

/** Half a tick past a second: a daemon's timer does not begin with one. */
const START = 1_800_000_000_050;
const LIFE_MS = 3_600_000;
/** How often a daemon looks what is due. */
const TICK_MS = 100;
/** Requests that a daemon makes at once. */
const WIDTH = 16;
/** Places are drawn by lot: the worst of so many runs counts. */
const TIMES = 3;

/**
 * `rotation_peak_ratio`: so many identities that all began in one moment, kept by what keeps them in a daemon, with a clock
 * that is moved and a server that answers at once: renewals in the busiest second by those in the mean second, over the time
 * in which each is renewed for the first time. `rotation_second_peak_ratio`: the same of the second time.
 */
export async function measureRotation(count: number): Promise<Record<string, number>> {
  const [first, second]: [number[], number[]] = [[], []];
  for (let time = 0; time < TIMES; time++) {
    const rounds = await runFor(count);
    first.push(peakOf(rounds[0]));
    second.push(peakOf(rounds[1]));
  }
  return {
    rotation_identities: count,
    rotation_peak_ratio: Math.max(...first),
    rotation_second_peak_ratio: Math.max(...second),
  };
}

/** Renewals by second: those that were anybody's first, and those that were anybody's second. */
async function runFor(count: number): Promise<readonly [readonly number[], readonly number[]]> {
  mock.timers.enable({ apis: ['setInterval'] });
  const clock = manualClock(START);
  const rotation = new Rotation(clock, Math.random, clock.now);
  const rounds: [number[], number[]] = [[], []];
  const times = new Map<string, number>();
  let latest = 0;
  const { privateKey: key } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const issue = (spiffeId: string): Credential => {
    const [notBefore, notAfter] = [clock.now() - BACKDATED_MS, clock.now() + LIFE_MS];
    const renewAfter = clock.now() + (LIFE_MS * 2) / 3;
    return {
      ...{ key, spiffeId, serial: '01', certificate: '', chain: [], roots: [] },
      notBefore,
      notAfter,
      renewAfter,
    };
  };
  const renew: NodeServer['renew'] = async ({ spiffeId, notBefore }) => {
    const round = times.get(spiffeId) ?? 0;
    times.set(spiffeId, round + 1);
    const second = Math.floor(clock.now() / 1000) - Math.floor(START / 1000);
    const seconds = rounds[round];
    if (seconds !== undefined) seconds[second] = (seconds[second] ?? 0) + 1;
    latest = Math.max(latest, (clock.now() - notBefore - BACKDATED_MS) / LIFE_MS);
    return issue(spiffeId);
  };
  const parts = {
    ...{ server: { renew } as NodeServer, rotation, clock, random: Math.random, turn: createGate(WIDTH) },
    facts: async () => undefined,
    said: () => undefined,
    changed: () => undefined,
  };
  const entry = { id: '0'.repeat(26) } as Entry;
  const children = Array.from(
    { length: count },
    (_, n) => new Child(entry, issue(`spiffe://bench.writ.internal/agent/worker/${n}`), parts),
  );
  try {
    while (clock.now() < START + LIFE_MS) {
      clock.advance(TICK_MS);
      mock.timers.tick(TICK_MS);
      await turn();
    }
    const renewed = [...times.values()];
    if (renewed.length !== count || renewed.some((each) => each < 2) || latest >= 0.5) {
      throw new Error('an identity was not renewed before the middle of its life');
    }
  } finally {
    for (const child of children) child.finish('closed');
    rotation.close();
    mock.timers.reset();
  }
  return rounds;
}

/** Busiest by mean, from the first second to the last in which one was renewed. */
function peakOf(seconds: readonly number[]): number {
  const span = Array.from(seconds, (many = 0) => many).slice(seconds.findIndex((many) => many > 0));
  const mean = span.reduce((sum, many) => sum + many, 0) / span.length;
  return Math.max(...span) / mean;
}
