/**
 * Prepared statements by their text, the least recently used going first. Partitions make many texts that differ in a
 * table's name alone, so the number must be bounded; what is evicted is handed to `dropped`.
 */
export class StatementCache<T> {
  readonly #limit: number;
  readonly #dropped: ((statement: T) => void) | undefined;
  readonly #statements = new Map<string, T>();
  #lastText = '';
  #last: T | undefined;

  constructor(limit: number, dropped?: (statement: T) => void) {
    this.#limit = limit;
    this.#dropped = dropped;
  }

  get size(): number {
    return this.#statements.size;
  }

  /** The statement for `text`; `prepare` makes it when it is not held. */
  get(text: string, prepare: (text: string) => T): T {
    // Groups of the same act repeat one text many times over; this saves moving it to the back of the map each time.
    if (text === this.#lastText && this.#last !== undefined) return this.#last;
    let statement = this.#statements.get(text);
    if (statement === undefined) {
      statement = prepare(text);
      if (this.#statements.size >= this.#limit) this.#evict();
    } else {
      this.#statements.delete(text);
    }
    this.#statements.set(text, statement);
    this.#lastText = text;
    this.#last = statement;
    return statement;
  }

  clear(): void {
    this.#statements.clear();
    this.#lastText = '';
    this.#last = undefined;
  }

  #evict(): void {
    const oldest = this.#statements.entries().next().value;
    if (oldest === undefined) return;
    this.#statements.delete(oldest[0]);
    this.#dropped?.(oldest[1]);
  }
}
