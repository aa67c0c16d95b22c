import type { Caller } from '../../base/access.ts';
import type { Clock } from '../../base/clock.ts';
import { WritError } from '../../base/error.ts';
import type { FeedAcks, FeedEffectReport, FeedPage, FeedPoints } from '../../wire/feed.ts';
import { POINT, pointBehind, pointOf } from '../../wire/feed-points.ts';
import type { FeedTimeQuestion, SignedStatement } from '../../wire/feed-statement.ts';
import type { FeedEffects } from './effects.ts';
import type { FeedEncoding, FeedHub, FeedStream } from './hub.ts';
import type { FeedSigner } from './signer.ts';
import type { FeedTail } from './tail.ts';

export interface FeedParts {
  readonly tail: FeedTail;
  readonly hub: FeedHub;
  readonly effects: FeedEffects;
  readonly signer: FeedSigner;
  readonly clock: Clock;
  /** Tells the other threads of this process which points read from a relay, of which any may have the stream. */
  readonly tellBehind: (point: string, behind: readonly string[]) => void;
}

/** Up to where a subscriber knows everything. */
export interface Place {
  readonly log: number;
  readonly position: number;
}

const PAGE = 1000;
/** Pages that are kept while the epoch stays: after a restart everybody asks for the same. */
const PAGES = 64;

/** What the feed does for a caller, whichever protocol it is asked by (`docs/FEED.md`). What is revoked is no secret. */
export class Feed {
  readonly #parts: FeedParts;
  readonly #pages = new Map<string, Promise<FeedPage>>();
  #pagesOf = -1;

  constructor(parts: FeedParts) {
    this.#parts = parts;
  }

  /**
   * Prepares a subscription; gives what begins it. Without a place it goes on from now. Throws `bad_request` on a name
   * that is none.
   */
  follow(
    caller: Caller,
    { point, place }: { readonly point: string | undefined; readonly place: Place | undefined },
  ): (stream: FeedStream, encoding: FeedEncoding) => void {
    const { tail, hub } = this.#parts;
    if (point !== undefined && !POINT.test(point)) {
      throw new WritError('bad_request', 'The name of a point cannot be understood.', {
        field: '?point',
        remedy: 'Use 1 to 64 letters, digits and . _ : -',
      });
    }
    const key = point === undefined ? undefined : pointOf(caller.id, point);
    // Of a log that was lost in part: what it has at that position is something else.
    const after = place === undefined ? tail.position : place.log === tail.log ? place.position : -1;
    return (stream, encoding) => hub.add({ stream, encoding, caller, after, point: key });
  }

  /** A page of what is in force after a position. */
  page(after: number): Promise<FeedPage> {
    const { tail } = this.#parts;
    if (this.#pagesOf !== tail.epoch) {
      this.#pages.clear();
      this.#pagesOf = tail.epoch;
    }
    const key = String(after);
    const known = this.#pages.get(key);
    if (known !== undefined) return known;
    if (this.#pages.size >= PAGES) this.#pages.delete(this.#pages.keys().next().value!);
    const read = this.#readPage(after);
    this.#pages.set(key, read);
    read.catch(() => this.#pages.delete(key));
    return read;
  }

  /** The server's time, signed together with what whoever asks has made up. */
  time({ nonces }: FeedTimeQuestion): SignedStatement {
    const { signer, clock } = this.#parts;
    return signer.sign({ kind: 'time', nonces, time: clock.now() });
  }

  /** Nobody can acknowledge for a point of somebody else: a relay speaks for those behind it, under its own name. */
  acknowledge(caller: Caller, { point, log, acks, behind = [] }: FeedAcks): void {
    const { tail, hub, effects } = this.#parts;
    if (log !== tail.log) return;
    const key = pointOf(caller.id, point);
    const reads = hub.has(key);
    for (const ack of acks) effects.acknowledged(key, ack, reads);
    for (const one of behind) {
      for (const ack of one.acks) effects.acknowledged(pointBehind(key, one.point), ack, reads);
    }
  }

  /** Takes which points read from a relay, all of them. */
  setBehind(caller: Caller, { point, behind }: FeedPoints): void {
    const { hub, tellBehind } = this.#parts;
    const key = pointOf(caller.id, point);
    if (hub.has(key)) hub.setBehind(key, behind);
    else tellBehind(key, behind);
  }

  /** How far the latest stop of a subject has come. Throws `not_found`. */
  effect(caller: Caller, subject: string): FeedEffectReport {
    const report = this.#parts.effects.report(subject, caller.kind === 'operator');
    if (report !== undefined) return report;
    throw new WritError('not_found', 'No recent stop of this subject is known here.', {
      field: '?subject',
      remedy: 'Name it as serial:HEX, instance:ID, agent:NAME or operator:NAME, within minutes of the stop.',
    });
  }

  async #readPage(after: number): Promise<FeedPage> {
    const { tail } = this.#parts;
    const { floor, entries, complete } = await tail.page(after, PAGE);
    const last = entries.at(-1)?.position ?? after;
    return { log: tail.log, floor, entries, position: complete ? Math.max(last, floor) : last, complete };
  }
}
