/**
 * Prepared statements by their text, by two generations: when the young one is full it becomes the old one, and what was
 * old and not used since is handed to `dropped`. Partitions make many texts that differ in a table's name alone, so the
 * number must be bounded.
 */
export class StatementCache<T> {
  readonly #half: number;
  readonly #dropped: ((statement: T) => void) | undefined;
  #young = new Map<string, T>();
  #old = new Map<string, T>();

  /** Holds at most `limit` statements. */
  constructor(limit: number, dropped?: (statement: T) => void) {
    this.#half = Math.max(1, Math.floor(limit / 2));
    this.#dropped = dropped;
  }

  get size(): number {
    return this.#young.size + this.#old.size;
  }

  /** The statement for `text`; `prepare` makes it when it is not held. */
  get(text: string, prepare: (text: string) => T): T {
    return this.#young.get(text) ?? this.#renew(text, prepare);
  }

  clear(): void {
    this.#young.clear();
    this.#old.clear();
  }

  #renew(text: string, prepare: (text: string) => T): T {
    const statement = this.#old.get(text) ?? prepare(text);
    this.#old.delete(text);
    if (this.#young.size >= this.#half) {
      for (const unused of this.#old.values()) this.#dropped?.(unused);
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(text, statement);
    return statement;
  }
}
