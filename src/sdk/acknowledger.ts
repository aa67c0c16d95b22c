import type { FeedAck } from '../wire/feed.ts';
import type { FeedReader } from './feed-reader.ts';
import type { Fetch } from './fetch.ts';

/** Acknowledgements of one request. */
const MOST = 256;
const TIMEOUT_MS = 3000;

/** Tells the server what is refused here, one request at a time with all that has gathered. */
export class Acknowledger {
  readonly #fetch: Fetch;
  readonly #server: string;
  readonly #point: string;
  #waiting: FeedAck[] = [];
  #sending = false;
  #closed = false;

  constructor(parts: { readonly fetch: Fetch; readonly server: string; readonly point: string }) {
    this.#fetch = parts.fetch;
    this.#server = parts.server;
    this.#point = parts.point;
  }

  add(acks: readonly FeedAck[], reader: FeedReader): void {
    this.#waiting.push(...acks);
    if (this.#sending || this.#closed) return;
    this.#sending = true;
    // Whatever else was told in this turn of the event loop is refused first.
    setImmediate(() => void this.#send(reader));
  }

  close(): void {
    this.#closed = true;
  }

  /** What cannot be sent is let go: the server says then that this point has not acknowledged, which is true. */
  async #send(reader: FeedReader): Promise<void> {
    while (this.#waiting.length > 0 && !this.#closed) {
      const acks = this.#waiting.splice(0, MOST);
      try {
        const answer = await this.#fetch(`${this.#server}/v1/feed/acks`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ point: this.#point, log: reader.place.log, acks }),
          signal: AbortSignal.timeout(TIMEOUT_MS),
        });
        await answer.arrayBuffer();
      } catch {
        // Acknowledged with the next, which says "up to here".
      }
    }
    this.#sending = false;
  }
}
