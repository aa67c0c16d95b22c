/** A bucket for each millisecond below 100, for each ten below a second, for each hundred from there on: to 6 s. */
const BY_ONE = 100;
const BY_TEN = 190;
const BUCKETS = 240;

/** Times of many points in bounded memory: counts by bucket, and the longest. Quantiles err on the long side. */
export class Latencies {
  readonly #counts: Uint32Array;
  #max: number;
  #count: number;

  constructor({ counts, max }: LatencyCounts = { counts: new Uint32Array(BUCKETS), max: 0 }) {
    this.#counts = counts.slice();
    this.#max = max;
    this.#count = counts.reduce((sum, one) => sum + one, 0);
  }

  get count(): number {
    return this.#count;
  }

  /** Milliseconds, 0 or more. */
  add(latency: number): void {
    this.#counts[bucketOf(latency)]! += 1;
    this.#count += 1;
    this.#max = Math.max(this.#max, Math.round(latency));
  }

  merge({ counts, max }: LatencyCounts): void {
    counts.forEach((count, bucket) => {
      this.#counts[bucket]! += count;
      this.#count += count;
    });
    this.#max = Math.max(this.#max, max);
  }

  /** The smallest time below which this share of them lies; 0 when there are none. */
  quantile(share: number): number {
    if (share >= 1 || this.#count === 0) return this.#max;
    let left = Math.ceil(share * this.#count);
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      left -= this.#counts[bucket]!;
      if (left <= 0) return Math.min(this.#max, endOf(bucket));
    }
    return this.#max;
  }

  /** As it crosses threads. */
  toCounts(): LatencyCounts {
    return { counts: this.#counts.slice(), max: this.#max };
  }
}

export interface LatencyCounts {
  readonly counts: Uint32Array;
  readonly max: number;
}

function bucketOf(latency: number): number {
  const ms = Math.max(0, Math.round(latency));
  if (ms < BY_ONE) return ms;
  if (ms < 1000) return BY_ONE + Math.floor((ms - BY_ONE) / 10);
  return Math.min(BUCKETS - 1, BY_TEN + Math.floor((ms - 1000) / 100));
}

/** The longest time in a bucket. */
function endOf(bucket: number): number {
  if (bucket < BY_ONE) return bucket;
  if (bucket < BY_TEN) return BY_ONE + (bucket - BY_ONE) * 10 + 9;
  return bucket === BUCKETS - 1 ? Number.POSITIVE_INFINITY : 1000 + (bucket - BY_TEN) * 100 + 99;
}
