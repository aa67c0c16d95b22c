/**
 * A bounded memory: what is new and what is used stays, by two generations. When the young one is full it becomes the old
 * one, and what was old and not used since is forgotten and handed to `dropped`; so it never holds more than `capacity`
 * values, and a look costs one or two reads of a map.
 */
export class Memo<T> {
  readonly #half: number;
  readonly #dropped: ((value: T) => void) | undefined;
  #young = new Map<string, T>();
  #old = new Map<string, T>();

  constructor(capacity: number, dropped?: (value: T) => void) {
    this.#half = Math.max(1, Math.floor(capacity / 2));
    this.#dropped = dropped;
  }

  get size(): number {
    return this.#young.size + this.#old.size;
  }

  get(key: string): T | undefined {
    return this.#young.get(key) ?? this.#renew(key);
  }

  /** Gives `value` back. */
  set(key: string, value: T): T {
    this.#old.delete(key);
    if (this.#young.size >= this.#half && !this.#young.has(key)) {
      if (this.#dropped !== undefined) this.#old.forEach(this.#dropped);
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(key, value);
    return value;
  }

  /** Forgets all; `dropped` hears nothing of it. */
  clear(): void {
    this.#young.clear();
    this.#old.clear();
  }

  #renew(key: string): T | undefined {
    const old = this.#old.get(key);
    return old === undefined ? undefined : this.set(key, old);
  }
}
