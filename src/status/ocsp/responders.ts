import type { Clock } from '../../base/clock.ts';
import type { Authority } from '../../ca/authority.ts';
import type { OcspResponder } from '../../ca/ocsp/responder.ts';

export interface OcspRespondersParts {
  readonly clock: Clock;
  /** Makes a key here and has the authority certify it, on record. */
  certify(authority: Authority): Promise<OcspResponder>;
}

interface Entry {
  responder?: OcspResponder;
  making?: Promise<OcspResponder>;
  /** Milliseconds: before this nobody tries again what failed. */
  retryAt: number;
  failure?: unknown;
}

const RETRY_MS = 2000;
/** So long before its end a responder is not used any more: answers are valid for a minute. */
const MARGIN_MS = 120_000;

/**
 * The responders of one thread, one for each authority that is asked about: made when first wanted, and followed by
 * another, with another key, at half of their life, while nobody waits. Those of authorities that were succeeded are kept
 * up in the same way as long as somebody asks.
 */
export class OcspResponders {
  readonly #parts: OcspRespondersParts;
  readonly #entries = new Map<string, Entry>();

  constructor(parts: OcspRespondersParts) {
    this.#parts = parts;
  }

  /** The one that is there; undefined where one has to be made first. */
  ready(authority: Authority): OcspResponder | undefined {
    const entry = this.#entries.get(authority.id);
    if (entry?.responder === undefined) return undefined;
    const now = this.#parts.clock.now();
    const { notBefore, notAfter } = entry.responder;
    if (now < notBefore || now > notAfter - MARGIN_MS) return undefined;
    if (now >= (notBefore + notAfter) / 2 && now >= entry.retryAt) this.#make(authority, entry).catch(() => undefined);
    return entry.responder;
  }

  /** The one that is there, or else a new one. Rejects with why it cannot be made. */
  async of(authority: Authority): Promise<OcspResponder> {
    const ready = this.ready(authority);
    if (ready !== undefined) return ready;
    let entry = this.#entries.get(authority.id);
    if (entry === undefined) {
      entry = { retryAt: 0 };
      this.#entries.set(authority.id, entry);
    }
    if (entry.making === undefined && this.#parts.clock.now() < entry.retryAt) throw entry.failure;
    return this.#make(authority, entry);
  }

  /** Another one is made next time: this one's certificate was revoked. */
  forget(authority: Authority): void {
    this.#entries.delete(authority.id);
  }

  #make(authority: Authority, entry: Entry): Promise<OcspResponder> {
    entry.making ??= this.#parts
      .certify(authority)
      .then(
        (responder) => {
          entry.responder = responder;
          return responder;
        },
        (error: unknown) => {
          entry.failure = error;
          entry.retryAt = this.#parts.clock.now() + RETRY_MS;
          throw error;
        },
      )
      .finally(() => {
        delete entry.making;
      });
    return entry.making;
  }
}
