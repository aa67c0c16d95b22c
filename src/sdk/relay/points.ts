import { MOST_BEHIND } from '../../wire/feed-points.ts';
import type { FeedReader } from '../feed/reader.ts';
import type { Fetch } from '../identity/fetch.ts';

/** Changes within this go up together. */
const GATHER_MS = 100;
const RETRY_MS = 1000;
const TIMEOUT_MS = 3000;
/** Octets of the list, of which 256 KiB are taken. */
const LARGEST = 240 * 1024;

/** Tells the server which points read from a relay, so that it waits for their acknowledgements. */
export class PointsReport {
  readonly #parts: {
    readonly fetch: Fetch;
    readonly reader: FeedReader;
    readonly point: string;
    readonly names: () => Iterable<string>;
  };
  #timer: NodeJS.Timeout | undefined;
  #sending = false;
  #changed = false;
  #closed = false;

  constructor(parts: {
    readonly fetch: Fetch;
    readonly reader: FeedReader;
    readonly point: string;
    readonly names: () => Iterable<string>;
  }) {
    this.#parts = parts;
  }

  /** To be called when a point has come or gone, and when the stream from the server was joined anew. */
  changed(after: number = GATHER_MS): void {
    this.#changed = true;
    if (this.#closed || this.#sending || this.#timer !== undefined) return;
    this.#timer = setTimeout(() => void this.#send(), after);
    this.#timer.unref();
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  async #send(): Promise<void> {
    const { fetch, reader, point, names } = this.#parts;
    this.#timer = undefined;
    this.#sending = true;
    this.#changed = false;
    const told = await fetch(`${reader.server}/v1/feed/points`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ point, behind: fitting(names()) }),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    }).then(
      async (answer) => {
        await answer.arrayBuffer();
        return answer.ok;
      },
      () => false,
    );
    this.#sending = false;
    if (!told) this.changed(RETRY_MS);
    else if (this.#changed) this.changed();
  }
}

/** As many of them as one request may name. The others are not waited for. */
function fitting(names: Iterable<string>): string[] {
  const fit: string[] = [];
  let size = 0;
  for (const name of names) {
    size += name.length + 3;
    if (fit.length >= MOST_BEHIND || size > LARGEST) break;
    fit.push(name);
  }
  return fit;
}
