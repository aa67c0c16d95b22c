import type { VerifierOptions } from './options.ts';

const STRICT_MS = 5000;
const STALE_MS = 15 * 60_000;

/** How old the feed may be for whom, milliseconds. */
export interface Staleness {
  /** Older than this it raises the alarm, and nobody is answered of whom nothing else tells. */
  readonly strictMs: number;
  /** Older than this nobody is. */
  readonly limitMs: number;
}

export function stalenessOf({
  mode,
  strictMs = STRICT_MS,
  staleMs = STALE_MS,
}: Pick<VerifierOptions, 'mode' | 'strictMs' | 'staleMs'>): Staleness {
  return { strictMs, limitMs: mode === 'strict' ? strictMs : staleMs };
}

/**
 * Whether a feed of this age says nothing any more of a peer. One whose certificate is ephemeral (RFC 9608) is on no list
 * and known to no responder: that it was stopped, only the feed says, so it is judged strictly in either mode.
 */
export function isStale({ strictMs, limitMs }: Staleness, age: number, ephemeral: boolean): boolean {
  return age > (ephemeral ? Math.min(strictMs, limitMs) : limitMs);
}
