import type { Clock } from '../../base/clock.ts';
import { BACKDATED_MS } from '../../sdk/identity/credential.ts';

/** Seconds that are looked at when a renewal is placed, of which the emptiest is taken. */
const CANDIDATES = 32;
/** Parts of a life. The first renewal may come early, so that what began at one moment is spread over the whole period… */
const FIRST = { from: 0.05, to: 0.48 };
/** …and stays spread, since all later ones come just before the middle. */
const LATER = { from: 0.4, to: 0.48 };
const TICK_MS = 100;

/** A certificate as it is renewed: its times by the authority's clock. */
interface Life {
  readonly notBefore: number;
  readonly notAfter: number;
}

interface Planned {
  /** Milliseconds of the rotation's own time. */
  readonly at: number;
  readonly run: () => void;
}

/**
 * When what a daemon keeps is renewed: before the middle of its life, and of the seconds that would do in one that has few
 * renewals yet, so that the server sees an even stream of a fleet that was started at one moment. Clocks are compared by
 * spans only: how far this machine's is off does not matter, and one that is set back delays nothing.
 */
export class Rotation {
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #steady: () => number;
  /** By second of its own time. */
  readonly #seconds = new Map<number, Set<Planned>>();
  readonly #timer: NodeJS.Timeout;
  #next = 0;
  /** How far the clock has been ahead of the steady one at most. */
  #ahead = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock, random: () => number = Math.random, steady: () => number = () => performance.now()) {
    this.#clock = clock;
    this.#random = random;
    this.#steady = steady;
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
    this.#timer.unref();
  }

  /** Renewals that are planned. */
  get planned(): number {
    let count = 0;
    for (const set of this.#seconds.values()) count += set.size;
    return count;
  }

  /** Plans the renewal of what has just been issued. Gives what takes it back. */
  plan({ notBefore, notAfter }: Life, first: boolean, run: () => void): () => void {
    const life = Math.max(0, notAfter - (notBefore + BACKDATED_MS));
    const { from, to } = first ? FIRST : LATER;
    const now = this.#now();
    let [best, least] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
    for (let n = 0; n < CANDIDATES; n++) {
      const at = now + life * (from + (to - from) * this.#random());
      const load = this.#seconds.get(secondOf(at))?.size ?? 0;
      if (load < least) [best, least] = [at, load];
      if (load === 0) break;
    }
    // Where in its second does not matter, but what stood behind its last tick would run, and count, in the next.
    const second = secondOf(best) * 1000;
    return this.#at(second + (best - second) * (1 - TICK_MS / 1000), run);
  }

  /** Plans something for so many milliseconds from now. Gives what takes it back. */
  after(ms: number, run: () => void): () => void {
    return this.#at(this.#now() + ms, run);
  }

  #at(at: number, run: () => void): () => void {
    const [planned, second] = [{ at, run }, secondOf(at)];
    const set = this.#seconds.get(second) ?? new Set();
    this.#seconds.set(second, set);
    set.add(planned);
    this.#next = Math.min(this.#next, second);
    return () => {
      set.delete(planned);
      if (set.size === 0 && this.#seconds.get(second) === set) this.#seconds.delete(second);
    };
  }

  close(): void {
    clearInterval(this.#timer);
    this.#seconds.clear();
  }

  /**
   * A time that never goes back: the steady clock's, which stands still while the machine sleeps, brought forward by whatever
   * the other one is ahead.
   */
  #now(): number {
    // In this order: what comes between the two has it seem behind.
    const wall = this.#clock.now();
    const steady = this.#steady();
    this.#ahead = Math.max(this.#ahead, wall - steady);
    return steady + this.#ahead;
  }

  #tick(): void {
    const now = this.#now();
    const last = secondOf(now);
    // After a long sleep the seconds that were slept through are found without counting them.
    const due =
      last - this.#next > this.#seconds.size
        ? [...this.#seconds.keys()].filter((second) => second <= last)
        : Array.from({ length: Math.max(0, last - this.#next + 1) }, (_, n) => this.#next + n);
    for (const second of due) {
      const set = this.#seconds.get(second);
      if (set === undefined) continue;
      for (const planned of set) {
        if (planned.at > now) continue;
        set.delete(planned);
        planned.run();
      }
      if (set.size === 0) this.#seconds.delete(second);
    }
    this.#next = last;
  }
}

function secondOf(at: number): number {
  return Math.floor(at / 1000);
}
