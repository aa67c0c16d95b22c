import type { Clock } from '../../base/clock.ts';
import type { Log } from '../../base/log.ts';
import { type CommitBatch, newBatch } from '../../db/batch.ts';
import type { FeedAck, FeedEffectReport, FeedEntry } from '../../wire/feed.ts';
import { Latencies, type LatencyCounts } from './latencies.ts';
import { FeedPoints, isExpected } from './points.ts';

/** What the threads of a process tell each other. */
export type EffectMessage =
  /** An acknowledgement that came in at another thread than the one its point reads from. */
  | { readonly kind: 'ack'; readonly point: string; readonly ack: FeedAck; readonly at: number }
  /** How far acts have come, by their numbers. */
  | { readonly kind: 'progress'; readonly thread: number; readonly acts: readonly (readonly [number, Progress])[] };

/** How far an act has come at the points of one thread. */
interface Progress {
  readonly points: number;
  /** Milliseconds from commit to acknowledgement. */
  readonly latencies: LatencyCounts;
  readonly missing: readonly string[];
  readonly before: number;
  readonly after: number;
  readonly done: boolean;
}

export interface EffectParts {
  readonly thread: number;
  /** Request threads of this process; the first one records. */
  readonly threads: number;
  /** Enforcement points that read from this thread now. */
  readonly points: () => Iterable<string>;
  readonly send: (message: EffectMessage) => void;
  readonly commit: CommitBatch;
  readonly clock: Clock;
  readonly log: Log;
  /** Whether all that these subjects name are canaries, whose stops are no real work. */
  readonly areCanaries: (subjects: readonly string[]) => Promise<boolean>;
}

/** How long a point has to acknowledge until it is recorded as one that has not. */
const DEADLINE_MS = 5000;
/** Uses after an acknowledgement are reported in a second one, for which is waited so long. */
const SECOND_MS = 1500;
const TICK_MS = 50;
/** Acts that are measured at once, about 1 kB each; and those that are remembered. */
const MEASURED = 4096;
const REMEMBERED = 2 * MEASURED;
const NAMED = 100;
/** Records in one tick. Where more acts than that are complete, several go into one, as far as their subjects do. */
const RECORDS = 4;
const SUBJECTS = 256;

interface Act {
  /** Position of its first entry. */
  readonly act: number;
  readonly at: number;
  readonly begun: number;
  last: number;
  readonly subjects: string[];
  /** Connected here when it was told. */
  readonly points: number;
  readonly latencies: Latencies;
  /** Points of this thread that have not acknowledged, once it is done. */
  missing: readonly string[];
  before: number;
  after: number;
  done: boolean;
  changed: boolean;
  readonly threads: Map<number, Progress>;
}

/**
 * Measures how fast each stop takes effect: which enforcement points were connected when it was told, when each
 * acknowledged it, which uses each accepted before and after. Each thread measures its own points and tells the others;
 * the first thread of the process puts the sum on record.
 *
 * Memory is that of the points and of the acts, not of both together: an acknowledgement covers all up to its position, so
 * each point has one number, and each act a bounded count of times.
 */
export class FeedEffects {
  readonly #parts: EffectParts;
  readonly #acts = new Map<number, Act>();
  readonly #bySubject = new Map<string, number>();
  /** Acts that are not done everywhere or not recorded, in the order of their positions. */
  #open: Act[] = [];
  readonly #points = new FeedPoints();
  readonly #timer: NodeJS.Timeout;

  constructor(parts: EffectParts) {
    this.#parts = parts;
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
    this.#timer.unref();
  }

  /** Entries that have just been sent to the points of this thread. */
  told(entries: readonly FeedEntry[]): void {
    let connected: number | undefined;
    for (const { act, position, at, subjects } of entries) {
      let known = this.#acts.get(act);
      if (known === undefined) {
        connected ??= this.#points.told(act, this.#parts.points());
        known = this.#begin(act, at, connected);
      }
      known.last = Math.max(known.last, position);
      for (const subject of subjects) {
        known.subjects.push(subject);
        this.#bySubject.set(subject, act);
      }
    }
  }

  /** An acknowledgement that this thread was sent. With `reads`, its point reads from this thread. */
  acknowledged(point: string, ack: FeedAck, reads: boolean): void {
    const at = this.#parts.clock.now();
    if (reads || this.#parts.threads === 1) this.#take(point, ack, at);
    else this.#parts.send({ kind: 'ack', point, ack, at });
  }

  /** Takes what another thread said. */
  receive(message: EffectMessage): void {
    if (message.kind === 'ack') {
      this.#take(message.point, message.ack, message.at);
      return;
    }
    for (const [act, progress] of message.acts) {
      const known = this.#acts.get(act);
      // A thread that has not read the act yet is told again when that one's next acknowledgement comes, or when it is done.
      if (known !== undefined) known.threads.set(message.thread, progress);
      else this.#early(act, message.thread, progress);
    }
  }

  /**
   * How far the latest act about a subject has come; undefined when none is remembered, or not every thread has said yet
   * how many points it serves.
   */
  report(subject: string, names: boolean): FeedEffectReport | undefined {
    const act = this.#acts.get(this.#bySubject.get(subject) ?? -1);
    const { clock, threads } = this.#parts;
    if (act === undefined || (act.threads.size < threads && clock.now() - act.begun < DEADLINE_MS)) return undefined;
    return this.#reportOf([act], names);
  }

  close(): void {
    clearInterval(this.#timer);
  }

  readonly #earlier = new Map<string, Progress>();

  #early(act: number, thread: number, progress: Progress): void {
    if (this.#earlier.size >= REMEMBERED) this.#earlier.clear();
    this.#earlier.set(`${act} ${thread}`, progress);
  }

  #begin(number: number, at: number, connected: number): Act {
    if (this.#acts.size >= REMEMBERED) this.#forgetOldest();
    const measured = this.#open.length < MEASURED;
    const act: Act = {
      ...{ act: number, at, begun: this.#parts.clock.now(), last: number, subjects: [] },
      ...{ points: measured ? connected : 0, latencies: new Latencies(), missing: [], before: 0, after: 0 },
      ...{ done: false, changed: true, threads: new Map() },
    };
    for (let thread = 0; thread < this.#parts.threads; thread++) {
      const early = this.#earlier.get(`${number} ${thread}`);
      if (early !== undefined) act.threads.set(thread, early);
      this.#earlier.delete(`${number} ${thread}`);
    }
    this.#acts.set(number, act);
    if (measured) this.#open.push(act);
    return act;
  }

  #forgetOldest(): void {
    const [number, act] = this.#acts.entries().next().value!;
    this.#acts.delete(number);
    for (const subject of act.subjects) if (this.#bySubject.get(subject) === number) this.#bySubject.delete(subject);
  }

  #take(name: string, { position, accepted_before: before = 0, accepted_after: after = 0 }: FeedAck, at: number): void {
    const point = this.#points.get(name);
    if (point !== undefined && position > point.acknowledged) {
      for (let i = this.#firstBehind(point.acknowledged); i < this.#open.length; i++) {
        const act = this.#open[i]!;
        if (act.last > position) break;
        if (act.done || !isExpected(point, act.act)) continue;
        act.latencies.add(Math.max(0, at - act.at));
        act.changed = true;
      }
      point.acknowledged = position;
    }
    if (before + after === 0) return;
    // Counts are of the entry at this very position.
    const act = this.#open[this.#firstBehind(position - 1)];
    if (act === undefined || act.act > position) return;
    act.before += before;
    act.after += after;
    act.changed = true;
  }

  /** Index of the first open act that ends behind a position. */
  #firstBehind(position: number): number {
    let [low, high] = [0, this.#open.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#open[middle]!.last > position) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  #tick(): void {
    if (this.#open.length === 0) return;
    const { clock, thread, threads, send } = this.#parts;
    const now = clock.now();
    const changed: [number, Progress][] = [];
    const complete: Act[] = [];
    // Those few that are late with anything, looked for once for all acts.
    let late: ReturnType<FeedPoints['behind']> | undefined;
    for (const act of this.#open) {
      const age = now - act.begun;
      const all = act.latencies.count >= act.points;
      if (!act.done && (act.points === 0 || age >= DEADLINE_MS || (all && age >= SECOND_MS))) {
        act.done = true;
        act.changed = true;
        if (!all) {
          late ??= this.#points.behind(this.#open.at(-1)!.last);
          const missing = late.filter((point) => point.acknowledged < act.last && isExpected(point, act.act));
          act.missing = missing.slice(0, NAMED).map(({ name }) => name);
        }
      }
      if (act.changed) {
        act.changed = false;
        const progress = progressOf(act);
        act.threads.set(thread, progress);
        changed.push([act.act, progress]);
      }
      if (isComplete(act, threads, now)) complete.push(act);
    }
    if (threads > 1 && changed.length > 0) send({ kind: 'progress', thread, acts: changed });
    if (complete.length === 0) return;
    const recorded = new Set(thread === 0 ? this.#record(complete) : complete);
    this.#open = this.#open.filter((act) => !recorded.has(act));
    this.#points.forget(this.#open[0]?.act ?? Number.POSITIVE_INFINITY);
  }

  /** The sum over acts, in the order of their positions, and over threads. */
  #reportOf(acts: readonly Act[], names: boolean): FeedEffectReport {
    const { clock, thread, threads } = this.#parts;
    const all = acts.flatMap((act) => [
      progressOf(act),
      ...[...act.threads].filter(([of]) => of !== thread).map(([, progress]) => progress),
    ]);
    const latencies = new Latencies();
    for (const one of all) latencies.merge(one.latencies);
    const sum = (of: (one: Progress) => number): number => all.reduce((total, one) => total + of(one), 0);
    const missing = [...new Set(all.flatMap((one) => one.missing))].slice(0, NAMED);
    const now = clock.now();
    return {
      position: acts.at(-1)!.last,
      committed_at: new Date(acts[0]!.at).toISOString(),
      points: acts.reduce((total, act) => total + this.#pointsOf(act), 0),
      acknowledged: latencies.count,
      p50_ms: latencies.quantile(0.5),
      p99_ms: latencies.quantile(0.99),
      max_ms: latencies.quantile(1),
      ...(names ? { missing } : {}),
      accepted_before: sum((one) => one.before),
      accepted_after: sum((one) => one.after),
      complete: acts.every((act) => isComplete(act, threads, now)),
    };
  }

  /** Points of all threads. */
  #pointsOf(act: Act): number {
    let sum = act.points;
    for (const [of, { points }] of act.threads) if (of !== this.#parts.thread) sum += points;
    return sum;
  }

  /** Puts acts that are complete on record, and gives those; where they are too many at once, several in one entry. */
  #record(complete: readonly Act[]): readonly Act[] {
    // Where nobody was connected there is nothing to record.
    const done = complete.filter((act) => this.#pointsOf(act) === 0);
    const left = complete.filter((act) => this.#pointsOf(act) > 0);
    for (let records = 0; records < RECORDS && left.length > 0; records++) {
      // Evenly, so that a few at once have an entry each.
      const share = Math.ceil(left.length / (RECORDS - records));
      const together: Act[] = [];
      let subjects = 0;
      while (together.length < share && left.length > 0) {
        subjects += left[0]!.subjects.length;
        if (together.length > 0 && subjects > SUBJECTS) break;
        together.push(left.shift()!);
      }
      done.push(...together);
      void this.#commit(together);
    }
    return done;
  }

  async #commit(acts: readonly Act[]): Promise<void> {
    const { missing = [], complete: _, position, ...figures } = this.#reportOf(acts, true);
    const subjects = [...new Set(acts.flatMap((act) => act.subjects))].slice(0, SUBJECTS);
    const batch = newBatch();
    try {
      const canary = await this.#parts.areCanaries(subjects);
      batch.events.push({
        type: 'revocation.effective',
        subjects,
        body: {
          ...{ first: acts[0]!.act, last: position },
          ...(acts.length > 1 ? { acts: acts.length } : {}),
          ...(canary ? { canary } : {}),
          ...{ ...figures, missing },
        },
      });
      await this.#parts.commit(batch);
    } catch (error) {
      this.#parts.log.warn('effect of a stop not recorded', { error: (error as Error).message });
    }
  }
}

function progressOf({ points, latencies, missing, before, after, done }: Act): Progress {
  return { points, latencies: latencies.toCounts(), missing, before, after, done };
}

function isComplete({ begun, done, threads }: Act, count: number, now: number): boolean {
  if (now - begun >= DEADLINE_MS + SECOND_MS) return true;
  return done && threads.size === count && [...threads.values()].every((progress) => progress.done);
}
