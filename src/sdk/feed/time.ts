import { randomBytes } from 'node:crypto';
import { WritError } from '../../base/error.ts';
import type { SignedStatement } from '../../wire/feed-statement.ts';
import type { Fetch } from '../identity/fetch.ts';
import type { MachineClock } from '../machine-clock.ts';
import type { FeedSignatures } from './signatures.ts';

/** How long an answer of the server counts, and how far this machine's clocks may part meanwhile; milliseconds. */
const LASTS_MS = 30_000;
const APART_MS = 250;
const RETRY_MS = 1000;
const TIMEOUT_MS = 3000;

/**
 * What the server's clock shows, never earlier than it really is: whoever was asked answered after the question. Whose
 * answer comes through others signs it together with something made up for the question, so that no old one fits.
 */
export class FeedTime {
  readonly #clock: MachineClock;
  /** What adds to these clocks makes the server's: never too little, by the time that the answer took. */
  #ahead = { steady: 0, wall: Number.NEGATIVE_INFINITY };
  #asked = Number.NEGATIVE_INFINITY;
  #tried = Number.NEGATIVE_INFINITY;

  constructor(clock: MachineClock) {
    this.#clock = clock;
  }

  /** The server's time now, milliseconds. */
  now(): number {
    const { steady, wall } = this.#clock;
    // The steady clock stands still while the machine sleeps, and old heartbeats could seem new.
    return Math.max(steady() + this.#ahead.steady, wall() + this.#ahead.wall);
  }

  /** Takes what the server itself said, over its own connection, when it was asked at `asked` of the steady clock. */
  told(time: number, asked: number): void {
    this.#ahead = { steady: time - asked, wall: Number.NEGATIVE_INFINITY };
  }

  get known(): boolean {
    return this.#asked > Number.NEGATIVE_INFINITY;
  }

  /** Asks through somebody who need not be believed. Rejects where no good answer comes. */
  async ask(server: string, { fetch, signatures }: { fetch: Fetch; signatures: FeedSignatures }): Promise<void> {
    const nonce = randomBytes(16).toString('base64url');
    const asked = { steady: this.#clock.steady(), wall: this.#clock.wall() };
    this.#tried = asked.steady;
    const answer = await fetch(`${server}/v1/feed/time`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ nonces: [nonce] }),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    if (!answer.ok) throw new WritError('unavailable', `The time of the server was refused with ${answer.status}.`);
    const said = signatures.read((await answer.json()) as SignedStatement);
    if (said.kind !== 'time' || !said.nonces.includes(nonce)) {
      throw new WritError('bad_certificate', 'The time of the server is no answer to what was asked.');
    }
    this.#ahead = { steady: said.time - asked.steady, wall: said.time - asked.wall };
    this.#asked = asked.steady;
  }

  /** Whether it is to be asked again: the answer is old, or one of the clocks was set or stood still. */
  get due(): boolean {
    const [steady, wall] = [this.#clock.steady(), this.#clock.wall()];
    if (steady - this.#tried < RETRY_MS) return false;
    const apart = Math.abs(steady + this.#ahead.steady - (wall + this.#ahead.wall));
    return steady - this.#asked > LASTS_MS || apart > APART_MS;
  }
}
