import { randomBytes } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import type { Clock } from '../../base/clock.ts';
import type { Log } from '../../base/log.ts';
import { type Authority, chainOf } from '../../ca/authority.ts';
import type { Reader } from '../../db/database.ts';
import { sameBytes } from '../../der/bytes.ts';
import { VOUCHED_AFTER_MS } from '../../wire/feed-statement.ts';
import { encodeCertId } from '../../x509/ocsp-cert-id.ts';
import { encodeOcspRequest } from '../../x509/ocsp-request.ts';
import { judgeOcspResponse } from '../../x509/ocsp-verify.ts';

export interface VoucherParts {
  readonly reader: Reader;
  readonly clock: Clock;
  readonly log: Log;
  /** All of the installation, as this process has them now. */
  authorities(): readonly Authority[];
  /** Answers an OCSP question, DER to DER. */
  ask(question: Uint8Array): Promise<Uint8Array>;
  /** Takes base64 of DER, all that there are. */
  take(vouchers: readonly string[]): void;
}

/** So often it is tried again: at first, while the hold is young, and then, where nobody answers. */
const RETRY_MS = 1000;
const LATER_MS = 30_000;
const SOON = 10;

/** When an authority that is held no more was held last, milliseconds. */
const HELD_LAST =
  "SELECT MAX(stopped_at) AS at FROM stop WHERE kind = 'authority' AND target = ? AND state = 'released'";

/**
 * Has those above vouch for the authorities that were held and released: answers of OCSP that say `good` after the hold.
 * With them what a server signs below such an authority is believed by who knows of the hold, whom it tells of the release.
 * Whoever has stolen the authority's key cannot make them.
 */
export class Vouchers {
  readonly #parts: VoucherParts;
  /** Counts what was asked for: what is older is given up. */
  #turn = 0;
  readonly #closing = new AbortController();

  constructor(parts: VoucherParts) {
    this.#parts = parts;
  }

  /** To be called for a new chain (DER, leaf first), and when an authority was held or released. Never rejects. */
  async look(chain: readonly Uint8Array[]): Promise<void> {
    const turn = ++this.#turn;
    const { signal } = this.#closing;
    for (let tries = 0; turn === this.#turn && !signal.aborted; tries++) {
      try {
        const found = await this.#gather(chain);
        if (turn !== this.#turn) return;
        this.#parts.take(found.vouchers);
        if (found.complete) return;
      } catch (error) {
        this.#parts.log.warn('nobody vouches for a released authority yet', { error: (error as Error).message });
      }
      const wait = tries < SOON ? RETRY_MS : LATER_MS;
      await pause(wait, undefined, { signal, ref: false }).catch(() => undefined);
    }
  }

  close(): void {
    this.#closing.abort();
  }

  async #gather(chain: readonly Uint8Array[]): Promise<{ readonly vouchers: string[]; readonly complete: boolean }> {
    const authorities = this.#parts.authorities();
    const vouchers: string[] = [];
    let complete = true;
    const [, first] = chain;
    const issuing = authorities.find(({ certificate }) => first !== undefined && sameBytes(first, certificate.raw));
    for (const authority of issuing === undefined ? [] : chainOf(authorities, issuing.id)) {
      const held = await this.#parts.reader.get(HELD_LAST, [authority.id]);
      const at = held?.['at'] as number | null | undefined;
      const above = authorities.find(({ id }) => id === authority.issuer);
      // Of one whose key is not here nobody can ask.
      if (at === null || at === undefined || above?.keyId === undefined) continue;
      const voucher = await this.#ask(authority, above, at);
      if (voucher !== undefined) vouchers.push(Buffer.from(voucher).toString('base64'));
      complete &&= voucher !== undefined;
    }
    return { vouchers, complete };
  }

  /** Undefined where there is none yet: too soon after the hold, or it is held again. */
  async #ask({ certificate }: Authority, above: Authority, heldAt: number): Promise<Uint8Array | undefined> {
    const { clock, ask } = this.#parts;
    const issuer = above.certificate;
    // With a nonce it is answered as of now.
    const nonce = randomBytes(16);
    const der = await ask(encodeOcspRequest([encodeCertId(certificate, issuer)], nonce));
    const judged = judgeOcspResponse(der, { certificate, issuer, now: clock.now(), nonce });
    if (judged.kind === 'refused' || judged.status.kind !== 'good') return undefined;
    // Followers go by when the hold was recorded, a moment later.
    return judged.thisUpdate > heldAt + 2 * VOUCHED_AFTER_MS ? der : undefined;
  }
}
