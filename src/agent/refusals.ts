import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import type { Clock } from '../base/clock.ts';
import { isWritError } from '../base/error.ts';
import type { WorkloadFault, WorkloadRefusal } from '../wire/workload-refusal.ts';
import { pauseOf } from './failure.ts';

/** Tells the server. Rejects with a `WritError`. The same key stands for the same refusals. */
type TellRefusals = (refusals: readonly WorkloadRefusal[], key: string) => Promise<void>;

/** A caller that was refused. */
interface Refused {
  readonly fault: WorkloadFault;
  readonly uid?: number | undefined;
  readonly program?: string | undefined;
}

interface Tally {
  readonly kind: Refused;
  since: number;
  count: number;
}

/** Those of one kind that are gathered until it is over. */
interface Window extends Tally {
  readonly opened: number;
  readonly ms: number;
}

/** How long refusals of one kind are gathered after the first, and at most where they go on: twice as long each time. */
const WINDOW_MS = 60_000;
const LONGEST_WINDOW_MS = 15 * 60_000;
/** Kinds that are told apart; of all others there is one number for each fault. */
const KINDS = 32;
/** Programs of one user that are told apart. */
const PROGRAMS = 4;
/** Between one request and the next, and where the server did not answer. */
const SPACE_MS = 1000;
const SILENT_MS = 5000;
/** How long the end waits for what is left to be told. */
const LAST_MS = 5000;
/** What the server will say again however often it is asked. */
const DEFINITE: ReadonlySet<unknown> = new Set([
  'bad_request',
  'too_large',
  'denied',
  'not_found',
  'method_not_allowed',
]);

/**
 * Gathers whom the daemon refuses by itself, for the ledger, without letting anybody on the machine flood that or use up what
 * the server lets the node ask: the first of its kind is told at once, more within the window become one number when it is
 * over, in one request a second at most. A program that asks for ever makes four entries an hour. What the server could not be
 * told yet is kept, by kind, in memory that is bounded.
 *
 * Its owner calls `turn` every now and then.
 */
export class Refusals {
  readonly #tell: TellRefusals;
  readonly #clock: Clock;
  readonly #random: () => number;
  /** By kind: how many since the last that were told. */
  readonly #windows = new Map<string, Window>();
  readonly #waiting = new Map<string, Tally>();
  /** What the server was asked to record, and has not answered: asked again as it was, since it may have been recorded. */
  #sending: { readonly key: string; readonly refusals: readonly WorkloadRefusal[] } | undefined;
  #telling: Promise<void> | undefined;
  #paused: { readonly since: number; readonly ms: number } | undefined;
  #dropped = 0;
  #over = false;

  constructor(tell: TellRefusals, clock: Clock, random: () => number) {
    this.#tell = tell;
    this.#clock = clock;
    this.#random = random;
  }

  /** Refusals that the server has not been told of. */
  get untold(): number {
    return sumOf([...this.#windows.values(), ...this.#waiting.values(), ...(this.#sending?.refusals ?? [])]);
  }

  /** Refusals that it would not record. */
  get dropped(): number {
    return this.#dropped;
  }

  add(refused: Refused): void {
    if (this.#over) return;
    const kind = this.#kindOf(refused);
    const since = this.#clock.now();
    const open = this.#windows.get(keyOf(kind));
    if (open !== undefined) {
      if (open.count === 0) open.since = since;
      open.count += 1;
      return;
    }
    this.#windows.set(keyOf(kind), { kind, since, count: 0, opened: since, ms: WINDOW_MS });
    this.#wait({ kind, since, count: 1 });
    this.#tellNow();
  }

  /** Closes windows that are over, and tells what there is to tell. */
  turn(): void {
    this.#closeWindows(false);
    this.#tellNow();
  }

  /** Tells the rest, as far as the server takes it within a moment. */
  async close(): Promise<void> {
    if (this.#over) return;
    this.#over = true;
    this.#closeWindows(true);
    const last = async (): Promise<void> => {
      await this.#telling;
      // What was asked and not answered goes first, and the others behind it.
      for (let before = Number.POSITIVE_INFINITY; this.untold < before; ) {
        before = this.untold;
        this.#paused = undefined;
        this.#tellNow();
        await this.#telling;
      }
    };
    await Promise.race([last(), pause(LAST_MS, undefined, { ref: false })]);
  }

  /** The kind itself where it is known or there is room; otherwise a coarser one. */
  #kindOf({ fault, uid, program }: Refused): Refused {
    const exact = given({ fault, uid, program });
    if (this.#windows.has(keyOf(exact))) return exact;
    const kinds = new Map([...this.#waiting, ...this.#windows]);
    const fits = (kind: Refused): boolean => kinds.has(keyOf(kind)) || kinds.size < KINDS;
    const programs = [...kinds.values()].filter(({ kind }) => kind.uid === uid && kind.program !== undefined).length;
    if (fits(exact) && (program === undefined || programs < PROGRAMS || kinds.has(keyOf(exact)))) return exact;
    const ofUser = given({ fault, uid });
    return fits(ofUser) ? ofUser : { fault };
  }

  #closeWindows(all: boolean): void {
    const now = this.#clock.now();
    for (const [key, { kind, since, count, opened, ms }] of this.#windows) {
      if (!all && isWithin(opened, ms, now)) continue;
      this.#windows.delete(key);
      if (count === 0) continue;
      this.#wait({ kind, since, count });
      const longer = Math.min(2 * ms, LONGEST_WINDOW_MS);
      if (!all) this.#windows.set(key, { kind, since: now, count: 0, opened: now, ms: longer });
    }
  }

  #wait(tally: Tally): void {
    const key = keyOf(tally.kind);
    const waiting = this.#waiting.get(key);
    if (waiting === undefined) this.#waiting.set(key, tally);
    else {
      waiting.count += tally.count;
      waiting.since = Math.min(waiting.since, tally.since);
    }
  }

  #tellNow(): void {
    if (this.#telling !== undefined || this.#isPaused()) return;
    if (this.#sending === undefined && this.#waiting.size > 0) {
      const refusals = [...this.#waiting.values()].map(({ kind, since, count }) => ({
        ...{ fault: kind.fault, count, since: new Date(since).toISOString() },
        ...(kind.uid === undefined ? {} : { uid: kind.uid }),
        ...(kind.program === undefined ? {} : { program: kind.program }),
      }));
      this.#sending = { key: randomUUID(), refusals };
      this.#waiting.clear();
    }
    if (this.#sending === undefined) return;
    const { key, refusals } = this.#sending;
    this.#telling = this.#tell(refusals, key)
      .then(
        () => this.#answered(SPACE_MS),
        (error: unknown) => {
          if (!isWritError(error) || !DEFINITE.has(error.code)) {
            this.#pause(pauseOf(error, SILENT_MS, this.#random));
            return;
          }
          this.#dropped += sumOf(refusals);
          this.#answered(SILENT_MS);
        },
      )
      .finally(() => {
        this.#telling = undefined;
      });
  }

  #answered(ms: number): void {
    this.#sending = undefined;
    this.#pause(ms);
  }

  #pause(ms: number): void {
    this.#paused = { since: this.#clock.now(), ms };
  }

  #isPaused(): boolean {
    return this.#paused !== undefined && isWithin(this.#paused.since, this.#paused.ms, this.#clock.now());
  }
}

/** A clock that went back has nobody wait for it. */
function isWithin(since: number, ms: number, now: number): boolean {
  return now >= since && now - since < ms;
}

function given({ fault, uid, program }: Refused): Refused {
  return { fault, ...(uid === undefined ? {} : { uid }), ...(program === undefined ? {} : { program }) };
}

function keyOf({ fault, uid, program }: Refused): string {
  return JSON.stringify([fault, uid, program]);
}

function sumOf(tallies: readonly { readonly count: number }[]): number {
  return tallies.reduce((sum, { count }) => sum + count, 0);
}
