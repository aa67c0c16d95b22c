import { randomFillSync } from 'node:crypto';

/** A source of unpredictable bytes. Passed in, so that tests can repeat a run. */
export type Random = (size: number) => Uint8Array;

const POOL = 8192;

/**
 * Bytes of the operating system's CSPRNG by way of OpenSSL, drawn in blocks of 8 KiB: one draw for each serial number
 * costs more than the serial number. No byte is handed out twice.
 */
export function systemRandom(): Random {
  const pool = new Uint8Array(POOL);
  let next = POOL;
  return (size) => {
    if (size > POOL) return randomFillSync(new Uint8Array(size));
    if (next + size > POOL) {
      randomFillSync(pool);
      next = 0;
    }
    const bytes = pool.slice(next, next + size);
    pool.fill(0, next, next + size);
    next += size;
    return bytes;
  };
}
