import type { Clock } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import { type CommitBatch, newBatch } from '../db/batch.ts';
import type { FeedAck, FeedEffectReport, FeedEntry } from '../wire/feed.ts';

/** What the threads of a process tell each other. */
export type EffectMessage =
  /** An acknowledgement that came in at another thread than the one its point reads from. */
  | { readonly kind: 'ack'; readonly point: string; readonly ack: FeedAck; readonly at: number }
  | { readonly kind: 'progress'; readonly thread: number; readonly act: number; readonly progress: Progress };

/** How far an act has come at the points of one thread. */
interface Progress {
  readonly points: number;
  /** Milliseconds from commit to acknowledgement, one for each point that has. */
  readonly latencies: readonly number[];
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
}

/** How long a point has to acknowledge until it is recorded as one that has not. */
const DEADLINE_MS = 5000;
/** Uses after an acknowledgement are reported in a second one, for which is waited so long. */
const SECOND_MS = 1500;
const TICK_MS = 50;
/** Acts that are remembered, and that are measured at once. */
const REMEMBERED = 1024;
const MEASURED = 64;
const NAMED = 100;
const SUBJECTS = 32;
/** Records in one tick. */
const RECORDS = 4;

interface Act {
  readonly act: number;
  readonly at: number;
  readonly begun: number;
  last: number;
  readonly subjects: string[];
  /** Points of this thread that have not acknowledged. */
  readonly waiting: Set<string>;
  readonly points: number;
  readonly latencies: number[];
  before: number;
  after: number;
  done: boolean;
  changed: boolean;
  recorded: boolean;
  readonly threads: Map<number, Progress>;
}

/**
 * Measures how fast each stop takes effect: which enforcement points were connected when it was told, when each
 * acknowledged it, which uses each accepted before and after. Each thread measures its own points and tells the others;
 * the first thread of the process puts the sum on record.
 */
export class FeedEffects {
  readonly #parts: EffectParts;
  readonly #acts = new Map<number, Act>();
  readonly #bySubject = new Map<string, number>();
  /** Acts that are not done here or not recorded. */
  readonly #open = new Map<number, Act>();
  readonly #timer: NodeJS.Timeout;

  constructor(parts: EffectParts) {
    this.#parts = parts;
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
    this.#timer.unref();
  }

  /** Entries that have just been sent to the points of this thread. */
  told(entries: readonly FeedEntry[]): void {
    for (const { act, position, at, subjects } of entries) {
      const known = this.#acts.get(act) ?? this.#begin(act, at);
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
    if (message.kind === 'ack') this.#take(message.point, message.ack, message.at);
    else {
      const known = this.#acts.get(message.act);
      // A thread that has not read the act yet is told again when that one's next acknowledgement comes, or when it is done.
      if (known !== undefined) known.threads.set(message.thread, message.progress);
      else this.#early(message);
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
    return this.#reportOf(act, names);
  }

  close(): void {
    clearInterval(this.#timer);
  }

  readonly #earlier = new Map<string, Extract<EffectMessage, { kind: 'progress' }>>();

  #early(message: Extract<EffectMessage, { kind: 'progress' }>): void {
    if (this.#earlier.size >= REMEMBERED) this.#earlier.clear();
    this.#earlier.set(`${message.act} ${message.thread}`, message);
  }

  #begin(number: number, at: number): Act {
    if (this.#acts.size >= REMEMBERED) this.#forgetOldest();
    const measured = this.#open.size < MEASURED;
    const waiting = new Set(measured ? this.#parts.points() : []);
    const act: Act = {
      ...{ act: number, at, begun: this.#parts.clock.now(), last: number, subjects: [], waiting, points: waiting.size },
      ...{ latencies: [], before: 0, after: 0, done: false, changed: true, recorded: !measured, threads: new Map() },
    };
    for (let thread = 0; thread < this.#parts.threads; thread++) {
      const early = this.#earlier.get(`${number} ${thread}`);
      if (early !== undefined) act.threads.set(thread, early.progress);
      this.#earlier.delete(`${number} ${thread}`);
    }
    this.#acts.set(number, act);
    this.#open.set(number, act);
    return act;
  }

  #forgetOldest(): void {
    const [number, act] = this.#acts.entries().next().value!;
    this.#acts.delete(number);
    this.#open.delete(number);
    for (const subject of act.subjects) if (this.#bySubject.get(subject) === number) this.#bySubject.delete(subject);
  }

  #take(
    point: string,
    { position, accepted_before: before = 0, accepted_after: after = 0 }: FeedAck,
    at: number,
  ): void {
    for (const act of this.#open.values()) {
      if (act.last > position || act.act > position) continue;
      if (act.waiting.delete(point)) {
        act.latencies.push(Math.max(0, at - act.at));
        act.changed = true;
      }
      // Counts are of the entry at this very position.
      if (act.act <= position && position <= act.last && before + after > 0) {
        act.before += before;
        act.after += after;
        act.changed = true;
      }
    }
  }

  #tick(): void {
    const { clock, thread, threads, send } = this.#parts;
    const now = clock.now();
    let records = 0;
    for (const act of this.#open.values()) {
      const age = now - act.begun;
      const done = act.points === 0 || age >= DEADLINE_MS || (act.waiting.size === 0 && age >= SECOND_MS);
      if (done && !act.done) {
        act.done = true;
        act.changed = true;
      }
      if (act.changed) {
        act.changed = false;
        const progress = progressOf(act);
        act.threads.set(thread, progress);
        if (threads > 1) send({ kind: 'progress', thread, act: act.act, progress });
      }
      if (!isComplete(act, threads, now)) continue;
      if (thread === 0 && !act.recorded) {
        if (++records > RECORDS) continue;
        act.recorded = true;
        void this.#record(act);
      }
      this.#open.delete(act.act);
    }
  }

  #reportOf(act: Act, names: boolean): FeedEffectReport {
    const { clock, thread, threads } = this.#parts;
    const all = [progressOf(act), ...[...act.threads].filter(([of]) => of !== thread).map(([, progress]) => progress)];
    const latencies = all.flatMap((one) => one.latencies).sort((a, b) => a - b);
    const sum = (of: (one: Progress) => number): number => all.reduce((total, one) => total + of(one), 0);
    const quantile = (share: number): number =>
      Math.round(latencies[Math.min(latencies.length - 1, Math.ceil(share * latencies.length) - 1)] ?? 0);
    const missing = all.flatMap((one) => one.missing).slice(0, NAMED);
    return {
      position: act.last,
      committed_at: new Date(act.at).toISOString(),
      points: sum((one) => one.points),
      acknowledged: latencies.length,
      p50_ms: quantile(0.5),
      p99_ms: quantile(0.99),
      max_ms: quantile(1),
      ...(names ? { missing } : {}),
      accepted_before: sum((one) => one.before),
      accepted_after: sum((one) => one.after),
      complete: isComplete(act, threads, clock.now()),
    };
  }

  /** Where nobody was connected there is nothing to record. */
  async #record(act: Act): Promise<void> {
    const { missing = [], complete: _, ...report } = this.#reportOf(act, true);
    if (report.points === 0) return;
    const batch = newBatch();
    const { position, ...figures } = report;
    batch.events.push({
      type: 'revocation.effective',
      subjects: [...new Set(act.subjects)].slice(0, SUBJECTS),
      body: { first: act.act, last: position, ...figures, missing },
    });
    // As the record of a list, it follows every revocation: where a backup lacks nothing else, a start goes on from the anchor.
    batch.anchored = true;
    try {
      await this.#parts.commit(batch);
    } catch (error) {
      this.#parts.log.warn('effect of a stop not recorded', { error: (error as Error).message });
    }
  }
}

function progressOf({ points, latencies, waiting, before, after, done }: Act): Progress {
  const missing = done ? [...waiting].slice(0, NAMED) : [];
  return { points, latencies, missing, before, after, done };
}

function isComplete({ begun, done, threads }: Act, count: number, now: number): boolean {
  if (now - begun >= DEADLINE_MS + SECOND_MS) return true;
  return done && threads.size === count && [...threads.values()].every((progress) => progress.done);
}
