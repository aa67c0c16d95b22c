import type { Epoch } from '../db/batch.ts';

/**
 * The epoch in memory that all threads of the process share. The writer publishes, everybody reads.
 */
export interface EpochCell extends Epoch {
  /** Hand this to another thread and make the same cell of it there with `epochCell`. */
  readonly memory: SharedArrayBuffer;
  /**
   * When the writer last knew the epoch to be the stored one, in milliseconds; 0 before the first time. When this stays
   * behind, standing is unknown and decisions must be denied (DESIGN §3.3).
   */
  confirmedAt(): number;
  /** Moves epoch and confirmation forward; what is smaller is ignored, because neither ever goes back. */
  publish(epoch: number, now: number): void;
  /** Resolves as soon as the epoch is another than `seen`, or after `ms`. Keeps no process alive. */
  moved(seen: number, ms: number): Promise<void>;
}

const EPOCH = 0;
const CONFIRMED = 1;

export function epochCell(memory: SharedArrayBuffer = new SharedArrayBuffer(16)): EpochCell {
  const cells = new BigInt64Array(memory);
  return {
    memory,
    current: () => Number(Atomics.load(cells, EPOCH)),
    confirmedAt: () => Number(Atomics.load(cells, CONFIRMED)),
    publish(epoch, now) {
      raise(cells, EPOCH, BigInt(epoch));
      raise(cells, CONFIRMED, BigInt(now));
      Atomics.notify(cells, EPOCH);
    },
    async moved(seen, ms) {
      const waiting = Atomics.waitAsync(cells, EPOCH, BigInt(seen), ms);
      if (waiting.async) await waiting.value;
    },
  };
}

function raise(cells: BigInt64Array, at: number, to: bigint): void {
  let seen = Atomics.load(cells, at);
  while (seen < to) {
    const before = Atomics.compareExchange(cells, at, seen, to);
    if (before === seen) return;
    seen = before;
  }
}
