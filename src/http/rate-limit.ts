/** Bounds how often each caller comes, in memory that does not grow with their number. */
export interface RateLimit {
  /**
   * Counts one request of `caller` at the monotonic time `now` (milliseconds). Gives 0 when it may pass, else the
   * milliseconds until one could; a refused request is not counted.
   */
  take(caller: string, now: number): number;
  /**
   * Counts so many further ones of a caller whose request has passed, on credit: what it may not have yet, those that come
   * next wait for.
   */
  charge(caller: string, now: number, further: number): void;
}

export interface RateLimitOptions {
  /** Requests a second that pass for ever. */
  readonly perSecond: number;
  /** Requests that pass at once after a rest. At least 1. */
  readonly burst: number;
  /** How many callers are told apart. Beyond that those idle longest are forgotten, which gives them a fresh burst. */
  readonly callers: number;
}

/**
 * The generic cell rate algorithm: one number a caller, the time at which its allowance would be whole again. No timers
 * and no work for callers who are not here. Two generations of the table, of which the older is dropped when the newer
 * is full, stand for an order of last use.
 */
export function createRateLimit(options: RateLimitOptions): RateLimit {
  const interval = 1000 / options.perSecond;
  const tolerance = interval * (options.burst - 1);
  const generation = Math.max(1, Math.floor(options.callers / 2));
  let young = new Map<string, number>();
  let old = new Map<string, number>();
  const wholeAt = (caller: string, now: number): number => Math.max(now, young.get(caller) ?? old.get(caller) ?? now);
  const count = (caller: string, whole: number): void => {
    if (young.size >= generation && !young.has(caller)) {
      old = young;
      young = new Map();
    }
    young.set(caller, whole);
  };

  return {
    take(caller, now) {
      const whole = wholeAt(caller, now);
      const wait = whole - now - tolerance;
      if (wait > 0) return wait;
      count(caller, whole + interval);
      return 0;
    },
    charge(caller, now, further) {
      count(caller, wholeAt(caller, now) + interval * further);
    },
  };
}

/**
 * Whom an address stands for: an IPv4 address itself, an IPv6 address its /64 (one site holds that many addresses), an
 * IPv4 address mapped into IPv6 the former.
 */
export function addressGroup(address: string): string {
  if (address.startsWith('::ffff:') && address.includes('.')) return address.slice(7);
  if (!address.includes(':')) return address;
  const [head = '', tail] = address.split('%', 1)[0]!.split('::');
  const first = head === '' ? [] : head.split(':');
  const last = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = tail === undefined ? 0 : 8 - first.length - last.length;
  const groups = [...first, ...Array<string>(Math.max(0, zeros)).fill('0'), ...last];
  return `${groups.slice(0, 4).join(':')}::/64`;
}
