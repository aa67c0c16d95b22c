/**
 * When to renew. Jitter spreads a fleet that was started at one moment, so that its renewals do not come at one moment
 * for ever after.
 */

/** What of a certificate says when it is renewed; milliseconds, all by one clock. */
export interface Lifetime {
  readonly notBefore: number;
  readonly renewAfter: number;
  readonly notAfter: number;
}

/**
 * The first try: when the authority would like it, which is at two thirds of the life, or up to a tenth of the life
 * before that. Gives a time by the same clock.
 */
export function firstTry({ notBefore, renewAfter, notAfter }: Lifetime, random: () => number): number {
  return renewAfter - (random() * (notAfter - notBefore)) / 10;
}

const LEAST_MS = 1000;
const MOST_MS = 60_000;

/**
 * Pause after `failures` failed tries (1 or more), in ms: doubles from a second to a minute, each with up to half of it
 * random. Never past the middle of what is left, so that a short certificate still gets its tries.
 */
export function pauseAfter(failures: number, left: number, random: () => number): number {
  const step = Math.min(MOST_MS, LEAST_MS * 2 ** Math.min(failures - 1, 16));
  const pause = step / 2 + (random() * step) / 2;
  return Math.max(LEAST_MS / 2, Math.min(pause, left / 2));
}
