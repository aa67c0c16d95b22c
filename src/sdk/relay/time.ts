import { MOST_NONCES } from '../../wire/feed-statement.ts';
import type { FeedReader } from '../feed/reader.ts';
import type { Fetch } from '../identity/fetch.ts';

/** Questions within this go up together. */
const GATHER_MS = 20;
const TIMEOUT_MS = 3000;

interface Question {
  readonly nonces: readonly string[];
  readonly answered: (answer: string | undefined) => void;
}

/** Asks the server for the time on behalf of those behind a relay, once for many: the answer names what each made up. */
export class RelayTime {
  readonly #parts: { readonly fetch: Fetch; readonly reader: FeedReader };
  #waiting: Question[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(parts: { readonly fetch: Fetch; readonly reader: FeedReader }) {
    this.#parts = parts;
  }

  /** The signed answer, or undefined where none was to be had. */
  ask(nonces: readonly string[]): Promise<string | undefined> {
    const count = this.#waiting.reduce((sum, one) => sum + one.nonces.length, nonces.length);
    if (count > MOST_NONCES) this.#send();
    return new Promise((answered) => {
      this.#waiting.push({ nonces, answered });
      this.#timer ??= setTimeout(() => this.#send(), GATHER_MS).unref();
    });
  }

  #send(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const asking = this.#waiting;
    this.#waiting = [];
    const { fetch, reader } = this.#parts;
    void fetch(`${reader.server}/v1/feed/time`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ nonces: asking.flatMap(({ nonces }) => nonces) }),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    })
      .then((answer) => (answer.ok ? answer.text() : undefined))
      .catch(() => undefined)
      .then((answer) => {
        for (const { answered } of asking) answered(answer);
      });
  }
}
