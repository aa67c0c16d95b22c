import type { FeedEntry } from '../wire/feed.ts';

/** Entries that stay in memory for who comes back. */
const KEPT = 8192;

/** The newest entries that a relay has passed on. */
export class RelayTail {
  #kept: FeedEntry[] = [];
  /** Everything in force after this is kept; undefined before anything is known. */
  #from: number | undefined;

  /** Begins again where everything is known up to a position, and nothing is kept from before. */
  begin(position: number): void {
    this.#kept = [];
    this.#from = position;
  }

  /** Entries that follow what is kept, in order. */
  add(entries: readonly FeedEntry[]): void {
    this.#kept.push(...entries);
    if (this.#kept.length <= 2 * KEPT) return;
    this.#kept = this.#kept.slice(-KEPT);
    this.#from = this.#kept[0]!.position - 1;
  }

  /** What follows a position, or undefined when that is not in memory. */
  after(position: number): readonly FeedEntry[] | undefined {
    if (this.#from === undefined || position < this.#from) return undefined;
    let at = this.#kept.length;
    while (at > 0 && this.#kept[at - 1]!.position > position) at--;
    return this.#kept.slice(at);
  }
}
