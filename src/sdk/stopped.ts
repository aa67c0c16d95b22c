import type { FeedEntry } from '../wire/feed.ts';

/** Why nobody may act under a subject: for ever, or until it is released. */
export type Fallen = 'stopped' | 'held';

interface Mark {
  stopped: boolean;
  held: boolean;
  /** When it may be forgotten, milliseconds. */
  until: number;
}

/** What of the feed is in force, by subject. */
export class Stopped {
  readonly #marks = new Map<string, Mark>();

  /** Takes an entry over; gives the subjects that fell by it. */
  apply({ effect, subjects, expires_at }: FeedEntry): readonly string[] {
    for (const subject of subjects) {
      const mark = this.#marks.get(subject) ?? { stopped: false, held: false, until: 0 };
      if (effect === 'stop') mark.stopped = true;
      else mark.held = effect === 'hold';
      mark.until = Math.max(mark.until, expires_at);
      if (mark.stopped || mark.held) this.#marks.set(subject, mark);
      else this.#marks.delete(subject);
    }
    return effect === 'release' ? [] : subjects;
  }

  /** Why one of the subjects may not act; undefined when all may. An end for ever counts more than a hold. */
  of(subjects: readonly string[]): Fallen | undefined {
    let held = false;
    for (const subject of subjects) {
      const mark = this.#marks.get(subject);
      if (mark?.stopped === true) return 'stopped';
      held ||= mark?.held === true;
    }
    return held ? 'held' : undefined;
  }

  /** Forgets what nobody could use any more anyway. `now` in milliseconds. */
  forget(now: number): void {
    for (const [subject, { until }] of this.#marks) if (until <= now) this.#marks.delete(subject);
  }

  /** Subjects that are kept. */
  get size(): number {
    return this.#marks.size;
  }
}
