import type { FeedAck, FeedAcks, PointAcks } from '../../wire/feed.ts';
import type { Fetch } from '../identity/fetch.ts';
import type { FeedReader } from './reader.ts';

/** Acknowledgements of one request, and points behind this one that are spoken for in it. */
const MOST = 256;
/** Octets of one request, about, of which the server takes 256 KiB. */
const LARGEST = 128 * 1024;
const TIMEOUT_MS = 3000;

/** Tells the server what is refused here and at points behind this one, one request at a time with all that has gathered. */
export class Acknowledger {
  readonly #fetch: Fetch;
  readonly #point: string;
  #waiting: FeedAck[] = [];
  readonly #behind = new Map<string, FeedAck[]>();
  #sending = false;
  #closed = false;

  constructor(parts: { readonly fetch: Fetch; readonly point: string }) {
    this.#fetch = parts.fetch;
    this.#point = parts.point;
  }

  add(acks: readonly FeedAck[], reader: FeedReader): void {
    this.#waiting.push(...acks);
    this.#begin(reader);
  }

  /** What a point has done that reads from this one. */
  addBehind({ point, acks }: PointAcks, reader: FeedReader): void {
    const known = this.#behind.get(point);
    if (known === undefined) this.#behind.set(point, [...acks]);
    else if (known.length < MOST) known.push(...acks.slice(0, MOST - known.length));
    this.#begin(reader);
  }

  close(): void {
    this.#closed = true;
  }

  #begin(reader: FeedReader): void {
    if (this.#sending || this.#closed) return;
    this.#sending = true;
    // Whatever else was told in this turn of the event loop is refused first.
    setImmediate(() => void this.#send(reader));
  }

  /** What cannot be sent is let go: the server says then that this point has not acknowledged, which is true. */
  async #send(reader: FeedReader): Promise<void> {
    while ((this.#waiting.length > 0 || this.#behind.size > 0) && !this.#closed) {
      const body: FeedAcks = { point: this.#point, log: reader.place.log, ...this.#taken() };
      try {
        const answer = await this.#fetch(`${reader.server}/v1/feed/acks`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify(body),
          signal: AbortSignal.timeout(TIMEOUT_MS),
        });
        await answer.arrayBuffer();
      } catch {
        // Acknowledged with the next, which says "up to here".
      }
    }
    this.#sending = false;
  }

  /** As much of what waits as one request may have. */
  #taken(): Pick<FeedAcks, 'acks' | 'behind'> {
    const acks = this.#waiting.splice(0, MOST);
    if (this.#behind.size === 0) return { acks };
    const behind: PointAcks[] = [];
    let size = 0;
    for (const [point, done] of this.#behind) {
      size += point.length + 64 * done.length;
      if (behind.length >= MOST || (behind.length > 0 && size > LARGEST)) break;
      behind.push({ point, acks: done });
      this.#behind.delete(point);
    }
    return { acks, behind };
  }
}
