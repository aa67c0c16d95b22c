import { WritError } from '../base/error.ts';
import { createRateLimit, type RateLimit } from '../http/rate-limit.ts';
import { parseCompact } from '../jwt/compact.ts';
import type { Child } from './child.ts';
import { createGate } from './gate.ts';
import type { NodeServer } from './server.ts';

interface Kept {
  readonly token: Promise<string>;
  /** Milliseconds of the steady clock after which another one is fetched. */
  until: number;
}

/** JWT-SVIDs that are kept at most. */
const MOST = 10_000;
/** That are fetched at once. */
const WIDTH = 128;
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
  readonly #kept = new WeakMap<Child, Map<string, Kept>>();
  readonly #turn: <T>(run: () => Promise<T>) => Promise<T> = createGate(WIDTH);
  readonly #limit: RateLimit;
  #count = 0;

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
    if (has !== undefined && performance.now() < has.until) return has.token;
    const wait = this.#limit.take(child.instance, performance.now());
    if (wait > 0) throw tooMany(wait);
    if (has === undefined && this.#count >= MOST) this.#forget(known);
    if (has === undefined) this.#count += 1;
    const fetched = this.#fetch(child, wanted);
    const kept: Kept = { token: fetched.then(({ token }) => token), until: Number.POSITIVE_INFINITY };
    known.set(key, kept);
    fetched.then(
      ({ life }) => {
        kept.until = performance.now() + life * REUSED;
      },
      () => {
        if (known.get(key) === kept && known.delete(key)) this.#count -= 1;
      },
    );
    return kept.token;
  }

  /** Forgets what was fetched for an instance that has ended. */
  drop(child: Child): void {
    this.#count -= this.#kept.get(child)?.size ?? 0;
    this.#kept.delete(child);
  }

  async #fetch(child: Child, audience: readonly string[]): Promise<{ readonly token: string; readonly life: number }> {
    const token = await this.#turn(() => this.#server.token(child.instance, audience));
    const parsed = parseCompact(token);
    const claims = typeof parsed === 'string' ? undefined : parsed.claims();
    const [issued, expires] = [Number(claims?.['iat']), Number(claims?.['exp'])];
    // By spans of the server's clock alone; a token that does not say is for once.
    return { token, life: Number.isFinite(expires - issued) ? (expires - issued) * 1000 : 0 };
  }

  /** The oldest of those of the instance that asks. */
  #forget(known: Map<string, Kept>): void {
    const oldest = known.keys().next();
    if (oldest.done !== true && known.delete(oldest.value)) this.#count -= 1;
  }
}

function tooMany(retryAfter: number): WritError {
  return new WritError('rate_limited', 'Too many tokens were asked for.', {
    remedy: 'Try again in a moment, and use a token for as long as it is good.',
    retryAfter,
  });
}
