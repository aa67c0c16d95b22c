import type { FeedEntry } from '../../wire/feed.ts';
import { ALSO_MS } from '../../wire/feed-events.ts';

/** Why nobody may act under a subject: for ever, or until it is released. */
export type Fallen = 'stopped' | 'held';

interface Mark {
  stopped: boolean;
  held: boolean;
  /** When it was held last, milliseconds of the server's clock. */
  heldAt: number;
  /** When it may be forgotten, milliseconds. */
  until: number;
}

/** What of the feed is in force, by subject. */
export class Stopped {
  readonly #marks = new Map<string, Mark>();
  /** What falls with something for the moment: until when, by subject and by what it falls with. Milliseconds. */
  readonly #also = new Map<string, Map<string, number>>();

  /** Takes an entry over; gives the subjects that fell by it. `now` in milliseconds. */
  apply({ effect, subjects, at, expires_at, also = [] }: FeedEntry, now: number = Date.now()): readonly string[] {
    for (const subject of subjects) {
      const mark = this.#marks.get(subject) ?? { stopped: false, held: false, heldAt: 0, until: 0 };
      if (effect === 'stop') mark.stopped = true;
      else mark.held = effect === 'hold';
      if (effect === 'hold') mark.heldAt = Math.max(mark.heldAt, at);
      mark.until = Math.max(mark.until, expires_at);
      if (mark.stopped || mark.held) this.#marks.set(subject, mark);
      else this.#marks.delete(subject);
    }
    if (effect === 'release') {
      for (const subject of subjects) this.#releaseAlso(subject);
      return [];
    }
    for (const subject of also) {
      const causes = this.#also.get(subject) ?? new Map<string, number>();
      for (const cause of subjects) causes.set(cause, now + ALSO_MS);
      this.#also.set(subject, causes);
    }
    return also.length === 0 ? subjects : [...subjects, ...also];
  }

  /** Why one of the subjects may not act; undefined when all may. An end for ever counts more than a hold. */
  of(subjects: readonly string[], now: number = Date.now()): Fallen | undefined {
    let held = this.#also.size > 0 && subjects.some((subject) => this.#fallsWith(subject, now));
    for (const subject of subjects) {
      const mark = this.#marks.get(subject);
      if (mark?.stopped === true) return 'stopped';
      held ||= mark?.held === true;
    }
    return held ? 'held' : undefined;
  }

  /** When one subject was held that is held still, and not ended: milliseconds of the server's clock. */
  heldSince(subject: string): number | undefined {
    const mark = this.#marks.get(subject);
    return mark?.held === true && !mark.stopped ? mark.heldAt : undefined;
  }

  /** Forgets what nobody could use any more anyway. `now` in milliseconds. */
  forget(now: number): void {
    for (const [subject, { until }] of this.#marks) if (until <= now) this.#marks.delete(subject);
    for (const [subject, causes] of this.#also) {
      for (const [cause, until] of causes) if (until <= now) causes.delete(cause);
      if (causes.size === 0) this.#also.delete(subject);
    }
  }

  #fallsWith(subject: string, now: number): boolean {
    for (const until of this.#also.get(subject)?.values() ?? []) if (until > now) return true;
    return false;
  }

  #releaseAlso(cause: string): void {
    for (const [subject, causes] of this.#also) {
      if (causes.delete(cause) && causes.size === 0) this.#also.delete(subject);
    }
  }

  /** Subjects that are kept. */
  get size(): number {
    return this.#marks.size;
  }
}
