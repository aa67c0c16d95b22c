import type { Clock } from '../base/clock.ts';
import { WritError } from '../base/error.ts';
import type { Database } from '../db/database.ts';

/** In PostgreSQL's words: what the clock of the database's machine shows, in milliseconds. */
export const SERVER_TIME = 'CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT) AS server_time';

/** What the clock showed before and after it was held against another, or against what is recorded. Milliseconds. */
export interface Reading {
  readonly before: number;
  readonly now: number;
}

/**
 * Throws `clock` when a clock is further than `most` off that of the database's machine, which showed `serverTime`
 * somewhere between the two readings. One that is behind dates what happens before what is recorded; one that is ahead
 * makes every other process look as if it were behind.
 */
export function requireAgreement({ before, now }: Reading, serverTime: number, most: number): void {
  if (now < serverTime - most) {
    throw wrong(`${seconds(serverTime - now)} behind that of the database's machine`);
  }
  if (before > serverTime + most)
    throw wrong(`${seconds(before - serverTime)} ahead of that of the database's machine`);
}

/** Throws `clock` when a clock is further than `most` behind the latest commit: one of the two is, or was, wrong. */
export function requireProgress({ now }: Reading, latest: number, most: number): void {
  if (now < latest - most) throw wrong(`${seconds(latest - now)} behind what is already recorded`, WAS_AHEAD);
}

/** The same as `requireAgreement` for a database that is not written to yet. Where it is on this machine there is nothing to compare. */
export async function requireClock(database: Database, clock: Clock, most: number): Promise<void> {
  if (database.engine !== 'postgres') return;
  const before = clock.now();
  const row = await database.get(`SELECT ${SERVER_TIME}`);
  requireAgreement({ before, now: clock.now() }, row!['server_time'] as number, most);
}

function seconds(ms: number): string {
  return `${Math.ceil(ms / 1000)} s`;
}

function wrong(how: string, more = ''): WritError {
  return new WritError('clock', `the clock is ${how}`, {
    remedy: `Set the clock of this machine right; nothing is issued until then.${more}`,
  });
}

const WAS_AHEAD = ' If it is right now and had been ahead, run "writ ledger accept-clock" on the server’s machine.';
