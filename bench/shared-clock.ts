import type { ManualClock } from '../src/base/clock.ts';

export interface SharedClock extends ManualClock {
  /** Hand this to another thread and make the same clock of it there. */
  readonly memory: SharedArrayBuffer;
}

/** A clock that stands still until it is told to move, the same for all threads that were given its memory. */
export function sharedClock(memory: SharedArrayBuffer = new SharedArrayBuffer(8)): SharedClock {
  const cell = new BigInt64Array(memory);
  return {
    memory,
    now: () => Number(Atomics.load(cell, 0)),
    set: (ms) => void Atomics.store(cell, 0, BigInt(ms)),
    advance: (ms) => void Atomics.add(cell, 0, BigInt(ms)),
  };
}
