import { setTimeout as pause } from 'node:timers/promises';
import type { CanaryFigures, CanaryVerdict } from '../../wire/canary.ts';
import { CANARY_LIMIT_MS } from '../../wire/canary-limit.ts';
import type { Called } from './line.ts';

/** Calls the point with one identity; never rejects. Implemented over TLS in `line.ts`. */
export interface ProbeLine {
  call(): Promise<Called>;
  close(): void;
}

export interface ProbeParts {
  /** As the child: on one connection that is kept, and on a new one for each call. */
  readonly kept: ProbeLine;
  readonly fresh: ProbeLine;
  /** As somebody whom nobody stops, on new connections. */
  readonly control: ProbeLine;
  /** Stops the child; resolves when that is acknowledged. */
  readonly stop: () => Promise<void>;
  readonly signal: AbortSignal;
  /** Milliseconds; for tests. */
  readonly limits?: Partial<ProbeLimits>;
}

export interface ProbeLimits {
  /** How long the child is given to be accepted to begin with. */
  readonly admission: number;
  /** After the acknowledgement: beyond it nothing may be accepted. */
  readonly effect: number;
  /** So long nothing was accepted until it counts as refused. */
  readonly settled: number;
}

export interface Probed extends CanaryFigures {
  readonly verdict: CanaryVerdict;
  readonly detail?: string;
}

const LIMITS: ProbeLimits = { admission: 5000, effect: CANARY_LIMIT_MS, settled: 1000 };
const KEPT_PAUSE_MS = 5;
const FRESH_PAUSE_MS = 20;
/** Accepted calls in a row on each line before the child is stopped. */
const STEADY = 3;
const CONTROLS = 5;
const LOOK_MS = 10;

/** When, by `performance.now()`, something was last accepted and first refused after that, on one kind of connection. */
interface Seen {
  accepted: number | undefined;
  refused: number | undefined;
  /** Refused calls since something was accepted. */
  refusals: number;
  detail: string;
}

/**
 * Measures one stop: calls as the child until it is steadily accepted, stops it, and goes on calling until it is refused or
 * the limit is passed. All times are of one monotonic clock, and of the arrival of answers, so they err on the long side.
 *
 * A refusal counts as the effect of the stop when the control, which is like the child but was not stopped, is accepted
 * before and after: else the point may have refused everybody. Rejects when the stop is not acknowledged.
 */
export async function probe(parts: ProbeParts): Promise<Probed> {
  const limits = { ...LIMITS, ...parts.limits };
  const { kept, fresh, control, signal } = parts;
  const tally = { calls: 0, acceptedAfter: 0, acknowledged: Number.POSITIVE_INFINITY };
  const counted = async (line: ProbeLine): Promise<Called> => {
    tally.calls += 1;
    return line.call();
  };

  const before = await accepted(control, { times: 1, within: limits.admission, signal, counted });
  const childBefore =
    before ??
    (await accepted(kept, { times: STEADY, within: limits.admission, signal, counted })) ??
    (await accepted(fresh, { times: STEADY, within: limits.admission, signal, counted }));
  if (childBefore !== undefined) {
    const who = before === undefined ? 'child' : 'control';
    await parts.stop();
    return { verdict: 'unreachable', accepted_after: 0, calls: tally.calls, detail: `${who}: ${childBefore}` };
  }

  const over = new AbortController();
  const ending = AbortSignal.any([over.signal, signal]);
  const seen = { kept: unseen(), fresh: unseen() };
  const lines = [
    watch(kept, seen.kept, { pauseMs: KEPT_PAUSE_MS, ending, tally, onlyKept: true }),
    watch(fresh, seen.fresh, { pauseMs: FRESH_PAUSE_MS, ending, tally, onlyKept: false }),
  ];
  try {
    await underWay(seen, limits.admission, signal);
    const sent = performance.now();
    await parts.stop();
    tally.acknowledged = performance.now();
    const verdict = await settle(seen, { tally, limits, signal });
    over.abort();
    await Promise.all(lines);
    const figures = figuresOf(seen, tally, sent);
    if (verdict !== 'refused') return { verdict, ...figures, detail: seen.fresh.detail };
    // A call that was under way was accepted after all.
    if (figures.refused_ms === undefined) return { verdict: 'unclear', ...figures, detail: 'accepted again' };
    const after = await accepted(control, { times: 1, within: limits.settled, signal, counted, most: CONTROLS });
    if (after === undefined) return { verdict, ...figures, calls: tally.calls };
    return { verdict: 'unclear', ...figures, calls: tally.calls, detail: `control: ${after}` };
  } finally {
    over.abort();
    await Promise.all(lines);
  }
}

interface Admission {
  /** In a row. */
  readonly times: number;
  readonly within: number;
  readonly signal: AbortSignal;
  readonly counted: (line: ProbeLine) => Promise<Called>;
  readonly most?: number;
}

/** Waits until calls are accepted; gives what stood against the last one when none was in time. */
async function accepted(
  line: ProbeLine,
  { times, within, signal, counted, most = Number.POSITIVE_INFINITY }: Admission,
): Promise<string | undefined> {
  const begun = performance.now();
  let row = 0;
  let detail = '';
  for (let calls = 0; row < times; calls++) {
    signal.throwIfAborted();
    if (calls > 0 && (performance.now() - begun > within || calls >= most)) return detail;
    const called = await counted(line);
    row = called.outcome === 'accepted' ? row + 1 : 0;
    detail = called.detail;
    if (row === 0) await pause(Math.min(100, within / 10), undefined, { signal });
  }
  return undefined;
}

interface Tally {
  calls: number;
  acceptedAfter: number;
  /** Infinite until then. */
  acknowledged: number;
}

function unseen(): Seen {
  return { accepted: undefined, refused: undefined, refusals: 0, detail: '' };
}

/** Calls over and over until told to end. A kept connection that was closed ends its line: another would be a new one. */
async function watch(
  line: ProbeLine,
  seen: Seen,
  options: {
    readonly pauseMs: number;
    readonly ending: AbortSignal;
    readonly tally: Tally;
    readonly onlyKept: boolean;
  },
): Promise<void> {
  const { pauseMs, ending, tally, onlyKept } = options;
  while (!ending.aborted) {
    const called = await line.call();
    tally.calls += 1;
    seen.detail = called.detail;
    if (onlyKept && !called.reused) {
      // The connection was closed between two calls.
      refuse(seen, called.begun);
      return;
    }
    if (called.outcome === 'accepted') {
      seen.accepted = called.ended;
      seen.refused = undefined;
      seen.refusals = 0;
      if (called.begun > tally.acknowledged) tally.acceptedAfter += 1;
    } else if (called.outcome === 'refused') refuse(seen, called.ended);
    await pause(pauseMs, undefined, { signal: ending }).catch(() => undefined);
  }
}

function refuse(seen: Seen, at: number): void {
  seen.refused ??= at;
  seen.refusals += 1;
}

/** Waits until both kinds of connections are in use, so that the stop finds them so. */
async function underWay(
  { kept, fresh }: { readonly kept: Seen; readonly fresh: Seen },
  within: number,
  signal: AbortSignal,
): Promise<void> {
  const begun = performance.now();
  // Where no connection is kept there is none to wait for.
  const keeps = (): boolean => kept.accepted !== undefined || kept.refused !== undefined;
  while (!(keeps() && fresh.accepted !== undefined) && performance.now() - begun < within) {
    await pause(LOOK_MS, undefined, { signal });
  }
}

/** Waits until nothing has been accepted for a while, or something is beyond the limit. */
async function settle(
  { kept, fresh }: { readonly kept: Seen; readonly fresh: Seen },
  { tally, limits, signal }: { readonly tally: Tally; readonly limits: ProbeLimits; readonly signal: AbortSignal },
): Promise<'refused' | 'still_accepted' | 'unclear'> {
  for (;;) {
    signal.throwIfAborted();
    const now = performance.now();
    const last = Math.max(kept.accepted ?? 0, fresh.accepted ?? 0);
    if (last - tally.acknowledged > limits.effect) return 'still_accepted';
    const quiet = now - Math.max(last, tally.acknowledged) >= limits.settled;
    // A kept connection that says nothing is held up by the point; new ones say what it thinks of the child.
    if (quiet && fresh.refusals >= STEADY) return 'refused';
    if (now - tally.acknowledged > limits.effect + 2 * limits.settled) return 'unclear';
    await pause(LOOK_MS, undefined, { signal });
  }
}

/** Whole milliseconds, rounded up: from the acknowledgement on, never less than nothing. */
function figuresOf(
  { kept, fresh }: { readonly kept: Seen; readonly fresh: Seen },
  { calls, acceptedAfter, acknowledged }: Tally,
  sent: number,
): CanaryFigures {
  const since = (at: number): number => Math.max(0, Math.ceil(at - acknowledged));
  const last = Math.max(kept.accepted ?? 0, fresh.accepted ?? 0);
  const behind = [kept.refused, fresh.refused].filter((at) => at !== undefined && at >= last) as number[];
  return {
    stop_ms: Math.ceil(acknowledged - sent),
    time_to_effect_ms: since(last),
    ...(behind.length === 0 ? {} : { refused_ms: since(Math.min(...behind)) }),
    ...(kept.accepted === undefined ? {} : { kept_ms: since(kept.accepted) }),
    ...(fresh.accepted === undefined ? {} : { fresh_ms: since(fresh.accepted) }),
    accepted_after: acceptedAfter,
    calls,
  };
}
