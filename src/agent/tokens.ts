import { parseCompact } from '../jwt/compact.ts';
import type { Child } from './child.ts';
import type { NodeServer } from './server.ts';

interface Kept {
  readonly token: Promise<string>;
  /** Milliseconds of the steady clock after which another one is fetched. */
  until: number;
}

/** JWT-SVIDs that are kept at most. */
const MOST = 10_000;
/** Part of its life in which a token is handed out again. */
const REUSED = 0.5;

/** JWT-SVIDs by instance and audience: one is fetched once for all who ask, and again when half of its life is over. */
export class Tokens {
  readonly #server: NodeServer;
  readonly #kept = new WeakMap<Child, Map<string, Kept>>();
  #count = 0;

  constructor(server: NodeServer) {
    this.#server = server;
  }

  /** Rejects as the server answers. */
  async of(child: Child, audience: readonly string[]): Promise<string> {
    const wanted = [...new Set(audience)].sort();
    const key = JSON.stringify(wanted);
    const known = this.#kept.get(child) ?? new Map<string, Kept>();
    this.#kept.set(child, known);
    const has = known.get(key);
    if (has !== undefined && performance.now() < has.until) return has.token;
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
    const token = await this.#server.token(child.instance, audience);
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
