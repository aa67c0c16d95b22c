import type { Reader } from '../../db/database.ts';
import type { EntrySource, RegistrationEntry } from './entry.ts';
import { entriesOf, readRevision } from './store.ts';

/** All entries of one source under a revision, in the order of their ids. */
export interface KnownEntries {
  readonly revision: number;
  readonly entries: readonly RegistrationEntry[];
}

/** How many entries are kept in memory in all, about 1 kB each; and how many are read at a time. */
const MOST = 100_000;
const STEP = 1000;

/**
 * The entries of attestors and nodes, read again only when one was created or removed: nodes ask every few seconds, and
 * strangers with evidence as often as they like. One for each thread.
 */
export class EntryCache {
  readonly #reader: Reader;
  readonly #known = new Map<string, KnownEntries>();
  #size = 0;

  constructor(reader: Reader) {
    this.#reader = reader;
  }

  /**
   * The revision is read before the entries: one that is created in between may be there under the number of before, and
   * is read again with the next.
   */
  async read(source: EntrySource): Promise<KnownEntries> {
    const key = JSON.stringify(source);
    const revision = await readRevision(this.#reader, source);
    const known = this.#known.get(key);
    if (known?.revision === revision) return known;
    const entries: RegistrationEntry[] = [];
    for (let page = await this.#page(source, ''); page.length > 0; ) {
      entries.push(...page);
      page = page.length < STEP ? [] : await this.#page(source, page.at(-1)!.id);
    }
    const read = { revision, entries };
    this.#keep(key, read);
    return read;
  }

  #page(source: EntrySource, after: string): Promise<RegistrationEntry[]> {
    return entriesOf(this.#reader, source, after, STEP);
  }

  #keep(key: string, read: KnownEntries): void {
    this.#drop(key);
    for (const oldest of this.#known.keys()) {
      if (this.#size + read.entries.length <= MOST) break;
      this.#drop(oldest);
    }
    if (read.entries.length > MOST) return;
    this.#known.set(key, read);
    this.#size += read.entries.length;
  }

  #drop(key: string): void {
    this.#size -= this.#known.get(key)?.entries.length ?? 0;
    this.#known.delete(key);
  }
}
