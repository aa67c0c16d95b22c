import type { Epoch } from './batch.ts';

/**
 * What was read of anybody's standing, for as long as the epoch stays. All of it goes at once when the epoch moves: a
 * value is never older than the last change that this process knows of.
 */
export class EpochCache<V> {
  readonly #epoch: Epoch;
  readonly #limit: number;
  readonly #values = new Map<string, V>();
  #under = Number.NaN;

  /** Keeps at most `limit` values, those that came last. */
  constructor(epoch: Epoch, limit: number) {
    this.#epoch = epoch;
    this.#limit = limit;
  }

  get(key: string): V | undefined {
    this.#follow();
    return this.#values.get(key);
  }

  /** The value as it is kept, or else as it is read; kept then, unless the epoch moved while it was read. */
  async read(key: string, read: () => Promise<V>): Promise<V> {
    const kept = this.get(key);
    if (kept !== undefined) return kept;
    const under = this.#under;
    const value = await read();
    this.put(key, value, under);
    return value;
  }

  /** Keeps a value that was made of what was read since the epoch was `under`, unless it moved since. */
  put(key: string, value: V, under: number): void {
    this.#follow();
    if (this.#under !== under) return;
    // Also what is replaced: those that came last are those that stay.
    if (!this.#values.delete(key) && this.#values.size >= this.#limit) {
      this.#values.delete(this.#values.keys().next().value!);
    }
    this.#values.set(key, value);
  }

  /** Reads it afresh next time. */
  forget(key: string): void {
    this.#values.delete(key);
  }

  #follow(): void {
    const now = this.#epoch.current();
    if (now === this.#under) return;
    this.#values.clear();
    this.#under = now;
  }
}
