import { WritError } from '../../base/error.ts';
import { createRateLimit, type RateLimit } from '../../http/rate-limit.ts';
import { parseCompact } from '../../jwt/compact.ts';
import type { NodeServer } from '../server.ts';
import type { Child } from '../workloads/child.ts';

interface Kept {
  readonly token: Promise<string>;
  /** Milliseconds of the steady clock after which another one is fetched. */
  until: number;
}

/** JWT-SVIDs that are kept of one instance. */
const MOST = 256;
/** Of one instance a second, and so many times as many at once; instances that are told apart. */
const PER_SECOND = 20;
const BURST = 10;
const INSTANCES = 65_536;
/** Part of its life in which a token is handed out again. */
const REUSED = 0.5;

/**
 * JWT-SVIDs by instance and audience: one is fetched once for all who ask, and again when half of its life is over. Each
 * that is fetched leaves an entry in the ledger and counts for the whole node, so one instance gets no more of them than if
 * it asked the server itself: a program in a loop takes nothing from its neighbours.
 */
export class Tokens {
  readonly #server: NodeServer;
  /** Those of an instance go with it. */
  readonly #kept = new WeakMap<Child, Map<string, Kept>>();
  readonly #limit: RateLimit;

  /** `perSecond`: tokens that one instance may have fetched, in the long run. */
  constructor(server: NodeServer, perSecond: number = PER_SECOND) {
    this.#server = server;
    this.#limit = createRateLimit({ perSecond, burst: perSecond * BURST, callers: INSTANCES });
  }

  /** Rejects as the server answers, and with `rate_limited`. */
  async of(child: Child, audience: readonly string[]): Promise<string> {
    const wanted = [...new Set(audience)].sort();
    const key = JSON.stringify(wanted);
    const known = this.#kept.get(child) ?? new Map<string, Kept>();
    this.#kept.set(child, known);
    const has = known.get(key);
    const now = performance.now();
    if (has !== undefined && now < has.until) return has.token;
    const wait = this.#limit.take(child.instance, now);
    if (wait > 0) throw tooMany(wait);
    for (const [of, { until }] of known) if (until <= now) known.delete(of);
    if (known.size >= MOST) known.delete(known.keys().next().value!);
    const fetched = this.#fetch(child, wanted);
    const kept: Kept = { token: fetched.then(({ token }) => token), until: Number.POSITIVE_INFINITY };
    known.set(key, kept);
    fetched.then(
      ({ life }) => {
        kept.until = performance.now() + life * REUSED;
      },
      () => {
        if (known.get(key) === kept) known.delete(key);
      },
    );
    return kept.token;
  }

  async #fetch(child: Child, audience: readonly string[]): Promise<{ readonly token: string; readonly life: number }> {
    const token = await this.#server.token(child.instance, audience);
    const parsed = parseCompact(token);
    const claims = typeof parsed === 'string' ? undefined : parsed.claims();
    const [issued, expires] = [Number(claims?.['iat']), Number(claims?.['exp'])];
    // By spans of the server's clock alone; a token that does not say is for once.
    return { token, life: Number.isFinite(expires - issued) ? (expires - issued) * 1000 : 0 };
  }
}

function tooMany(retryAfter: number): WritError {
  return new WritError('rate_limited', 'Too many tokens were asked for.', {
    remedy: 'Try again in a moment, and use a token for as long as it is good.',
    retryAfter,
  });
}
