import { readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { isWritError } from '../../src/base/error.ts';
import type { OperatorCredential } from '../../src/cli/credential.ts';
import type { Reader } from '../../src/db/database.ts';
import type { Choices } from '../fuzz/random.ts';
import { type ProgramOptions, type RunningServer, startServer } from '../program.ts';
import { Door } from './door.ts';
import type { Tally } from './tally.ts';

/** Where one installation runs: its servers, its database, and what of it can be killed. */
export interface Site {
  readonly engine: 'sqlite' | 'postgres';
  /** Makes a new installation and starts all of it. */
  begin(): Promise<void>;
  /** Kills something at once and counts it. What it was, in words. */
  strike(choices: Choices): Promise<string>;
  /** Starts whatever is not running and waits until all of it is ready. */
  restore(): Promise<void>;
  /** The servers that run. */
  doors(): readonly Door[];
  /** Reads the database as of one instant. */
  snapshot<T>(read: (reader: Reader) => Promise<T>): Promise<T>;
  /** Data directory and anchor of each server. */
  readonly places: readonly Place[];
  /** Asks every server to stop; the exit codes. */
  stop(): Promise<readonly (number | null)[]>;
  /** Kills what is left and removes it. */
  end(): Promise<void>;
}

export interface Place {
  readonly data: string;
  readonly anchor: string;
}

export const TRUST_DOMAIN = 'torture.example.com';
/** How long a start, or the way back from a lost database, may take before it counts as failed. */
export const RECOVERY_MS = 60_000;

/** What every installation is set up with beside its database: limits that the load does not meet. */
export const CONFIG: Readonly<Record<string, unknown>> = {
  trustDomain: TRUST_DOMAIN,
  requestThreads: 2,
  rateLimit: { perSecond: 100_000, burst: 100_000 },
  writeLimit: { perSecond: 100_000, burst: 100_000 },
  stopsAMinute: 100_000,
  massStop: 100_000,
  logLevel: 'warn',
};

export function readOperator(data: string): OperatorCredential {
  return JSON.parse(readFileSync(`${data}-operator/operator.json`, 'utf8')) as OperatorCredential;
}

export interface Replica extends Place {
  door: Door | undefined;
}

/** Starts the server of a place that has been started before, and measures it. */
export async function openDoor(
  { data }: Place,
  operator: () => OperatorCredential,
  options: ProgramOptions & { readonly args?: readonly string[] },
): Promise<Door> {
  const server = await startServer(data, options);
  return new Door(server, operator(), TRUST_DOMAIN);
}

/** `kill -9`, on the instant; then the door is of no use to anybody. */
export async function slay(replica: Replica): Promise<void> {
  const { door } = replica;
  replica.door = undefined;
  await door?.server.kill();
  door?.close();
}

/** A server that ends by itself is a violation, whatever was killed around it. */
export function watch(server: RunningServer, replica: Replica, tally: Tally): void {
  void server.ended.then(({ code, signal, stderr }) => {
    if (replica.door?.server !== server) return;
    tally.violation('server ended by itself', `${signal ?? code}: ${stderr.trim().slice(-500)}`);
    replica.door.close();
    replica.door = undefined;
  });
}

/** Asks again while the server says that it cannot answer just now, as any client does. Rejects when that lasts. */
export async function patiently<T>(ask: () => Promise<T>): Promise<T> {
  const until = performance.now() + RECOVERY_MS;
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      const passes = isWritError(error, 'unavailable') || isWritError(error, 'storage_failed');
      if (!passes || performance.now() > until) throw error;
    }
    await pause(25);
  }
}

/** Waits until a server says that certificates can be issued. */
export async function untilReady(door: Door, tally: Tally): Promise<void> {
  const until = performance.now() + RECOVERY_MS;
  for (;;) {
    try {
      await door.documents.send({ path: '/readyz' });
      return;
    } catch (error) {
      if (!isWritError(error)) throw error;
      if (performance.now() > until) {
        tally.violation('server does not recover', error.message);
        return;
      }
    }
    await pause(25);
  }
}
