import { signedText } from '../../wire/feed-statement.ts';
import type { PassedOn } from '../feed/reader.ts';

/** Entries that stay in memory for who comes back. */
const KEPT = 8192;

interface Kept {
  readonly after: number;
  readonly position: number;
  readonly entries: number;
  readonly text: string;
}

/** The newest entries that a relay has passed on, as the authority signed them: in pieces, each of which begins where the last ends. */
export class RelayTail {
  #kept: Kept[] = [];
  #entries = 0;
  /** Everything in force after this is kept; undefined before anything is known. */
  #from: number | undefined;

  /** Begins again where everything is known up to a position, and nothing is kept from before. */
  begin(position: number): void {
    this.#kept = [];
    this.#entries = 0;
    this.#from = position;
  }

  /** What follows what is kept; gives it as it is passed on. */
  add({ after, position, entries, signed }: PassedOn): string {
    const text = signedText(signed);
    this.#kept.push({ after, position, entries: entries.length, text });
    this.#entries += entries.length;
    if (this.#entries > 2 * KEPT) this.#forget();
    return text;
  }

  /** What follows a position, or undefined when that is not in memory. */
  after(position: number): string | undefined {
    if (this.#from === undefined || position < this.#from) return undefined;
    let at = this.#kept.length;
    while (at > 0 && this.#kept[at - 1]!.position > position) at--;
    return this.#kept
      .slice(at)
      .map(({ text }) => text)
      .join('');
  }

  #forget(): void {
    let at = 0;
    while (this.#entries > KEPT) this.#entries -= this.#kept[at++]!.entries;
    this.#from = this.#kept[at - 1]!.position;
    this.#kept = this.#kept.slice(at);
  }
}
