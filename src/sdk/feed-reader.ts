import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { setTimeout as pause } from 'node:timers/promises';
import type { ConnectionOptions, TLSSocket } from 'node:tls';
import { WritError } from '../base/error.ts';
import type { FeedEntry, FeedPage, FeedState } from '../wire/feed.ts';
import { parseFeedEvent } from '../wire/feed-events.ts';
import type { Fetch } from './fetch.ts';
import type { MachineClock } from './machine-clock.ts';
import type { PeerRule } from './peer.ts';

/** What the feed is read with: an identity, which shows who reads. */
export interface FeedIdentity {
  clientOptions(options: { readonly allow?: PeerRule }): ConnectionOptions;
  fetch(options: { readonly allow?: PeerRule }): Fetch;
  /** Told of each connection that is not a `fetch`'s. */
  opened?(socket: TLSSocket): void;
}

export interface FeedReaderOptions {
  readonly identity: FeedIdentity;
  /** `https://host:port` of the API, or of relays, which are tried in turn. */
  readonly servers: readonly string[];
  /** Who may answer there. */
  readonly allow: PeerRule;
  /** Name under which entries are acknowledged. */
  readonly point: string;
  readonly clock: MachineClock;
  /** New entries, in order. `anew`: all that is in force, in place of everything that was known. */
  readonly onEntries: (entries: readonly FeedEntry[], anew: boolean) => void;
  /** The stream was joined, from here on as the point that it is. */
  readonly onJoined?: () => void;
  /** Everything up to the server's own position is known, as of a moment that `age` tells. */
  readonly onFresh: () => void;
  /** The connection was lost or refused; it is made again. */
  readonly onLost: (error: Error) => void;
}

/** Without a sign of life for so long the connection is given up: heartbeats come each second. */
const SILENCE_MS = 3000;
const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 1000;
/** The server's clock was set, when a heartbeat seems to come from so far ahead. */
const AHEAD_MS = 1000;

/**
 * Reads the feed: pages through what is in force, then stays on the stream, and after every loss goes on where it was,
 * without a gap. It never says that it is up to date before it knows everything that the server does.
 */
export class FeedReader {
  readonly #options: FeedReaderOptions;
  readonly #fetch: Fetch;
  readonly #closing = new AbortController();
  #log = 0;
  #position = 0;
  /** False while pages have to be read before the stream. */
  #joined = false;
  #epoch = 0;
  #failures = 0;
  /** Which of the servers is read. */
  #turn = 0;
  /** When the latest heartbeat came (both clocks of this machine) and how old it was at most, in milliseconds. */
  #beat: { readonly steady: number; readonly wall: number; readonly age: number; readonly asOf: number } | undefined;
  /** What adds to this clock makes the server's: never too little, by the time that the first answer took. */
  #ahead = 0;

  constructor(options: FeedReaderOptions) {
    this.#options = options;
    this.#fetch = options.identity.fetch({ allow: options.allow });
    void this.#run();
  }

  /** Number of the log and position up to which everything is known. */
  get place(): { readonly log: number; readonly position: number } {
    return { log: this.#log, position: this.#position };
  }

  /**
   * How old, at most, what is known may be: milliseconds, by no other clock than this machine's, since the server answered
   * after it was asked. Infinite before everything was known once.
   */
  age(): number {
    if (this.#beat === undefined) return Number.POSITIVE_INFINITY;
    const { steady, wall, age } = this.#beat;
    const { clock } = this.#options;
    return age + Math.max(0, clock.steady() - steady, clock.wall() - wall);
  }

  /** Which server is read now. */
  get server(): string {
    const { servers } = this.#options;
    return servers[this.#turn % servers.length]!;
  }

  /**
   * What is known, as one who reads it here has to take it: `as_of` stays the first server's, and `time` is that server's
   * clock, never earlier than it really is, so that all the time since counts. Undefined before everything was known once.
   */
  state(): FeedState | undefined {
    if (this.#beat === undefined) return undefined;
    const { asOf } = this.#beat;
    return { ...this.place, epoch: this.#epoch, as_of: asOf, time: Math.ceil(asOf + this.age()) };
  }

  /** The server's time now, milliseconds; never earlier than it really is. */
  serverTime(): number {
    return this.#options.clock.steady() + this.#ahead;
  }

  close(): void {
    this.#closing.abort();
  }

  async #run(): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      try {
        if (!this.#joined) await this.#readPages();
        await this.#readStream();
      } catch (error) {
        if (signal.aborted) return;
        this.#turn += 1;
        this.#options.onLost(error as Error);
      }
      const wait = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** this.#failures++);
      await pause(wait * (0.5 + Math.random()), undefined, { signal, ref: false }).catch(() => undefined);
    }
  }

  /** Brings what is known up to a position at which the stream can be joined. */
  async #readPages(): Promise<void> {
    let page = await this.#page(this.#position);
    const anew = this.#log !== page.log || (this.#position > 0 && this.#position < page.floor) || this.#position === 0;
    if (anew && this.#position > 0) page = await this.#page(0);
    const entries = [...page.entries];
    while (!page.complete) {
      page = await this.#page(page.position);
      entries.push(...page.entries);
    }
    this.#log = page.log;
    this.#position = page.position;
    this.#options.onEntries(entries, anew);
    this.#joined = true;
  }

  async #page(after: number): Promise<FeedPage> {
    const signal = AbortSignal.any([this.#closing.signal, AbortSignal.timeout(10 * SILENCE_MS)]);
    const answer = await this.#fetch(`${this.server}/v1/feed/entries?after=${after}`, { signal });
    if (!answer.ok) throw refused(answer.status);
    return (await answer.json()) as FeedPage;
  }

  /** Resolves when the server ended the stream, rejects when it broke. */
  #readStream(): Promise<void> {
    const { identity, allow, point } = this.#options;
    const url = new URL(this.server);
    let asked = this.#options.clock.steady();
    return new Promise((resolve, reject) => {
      const sent = request({
        ...identity.clientOptions({ allow }),
        ...{ host: url.hostname.replace(/^\[|\]$/g, ''), port: url.port === '' ? 443 : url.port, agent: false },
        ...{ path: `/v1/feed?point=${encodeURIComponent(point)}`, signal: this.#closing.signal },
        headers: { Accept: 'text/event-stream', 'Last-Event-ID': `${this.#log}.${this.#position}` },
      });
      const silent = (): void => {
        sent.destroy(new WritError('unavailable', 'The feed has fallen silent.'));
      };
      if (identity.opened !== undefined) {
        sent.once('socket', (socket) => socket.once('secureConnect', () => identity.opened!(socket as TLSSocket)));
      }
      // The question is not sent before that; a connection that was long in coming would make all that follows seem old.
      sent.once('socket', (socket) => {
        socket.once('secureConnect', () => {
          asked = this.#options.clock.steady();
        });
      });
      let timer = setTimeout(silent, SILENCE_MS);
      timer.unref();
      const end = (how: () => void): void => {
        clearTimeout(timer);
        how();
      };
      sent.on('error', (error) => end(() => reject(error)));
      sent.on('response', (answer: IncomingMessage) => {
        answer.on('error', (error) => end(() => reject(error)));
        answer.on('end', () => end(resolve));
        if (answer.statusCode !== 200) {
          answer.resume();
          sent.destroy(refused(answer.statusCode!));
          return;
        }
        let rest = '';
        answer.setEncoding('utf8');
        answer.on('data', (chunk: string) => {
          clearTimeout(timer);
          timer = setTimeout(silent, SILENCE_MS);
          timer.unref();
          const blocks = (rest + chunk).split('\n\n');
          rest = blocks.pop()!;
          try {
            this.#take(blocks, asked);
          } catch (error) {
            sent.destroy(error as Error);
          }
        });
      });
      sent.end();
    });
  }

  /** Takes whole events. `asked`: when the stream was asked for, before which nothing in it was said. */
  #take(blocks: readonly string[], asked: number): void {
    const entries: FeedEntry[] = [];
    let state: FeedState | undefined;
    for (const block of blocks) {
      const event = parseFeedEvent(block);
      if (event?.kind === 'entry') entries.push(event.entry);
      else if (event?.kind === 'heartbeat') state = event.state;
      else if (event?.kind === 'hello') this.#meet(event.state, asked);
      else if (event?.kind === 'behind') {
        this.#joined = false;
        throw new WritError('unavailable', 'What was missed is not on the stream any more; it is read from the pages.');
      }
    }
    // A replica that is a moment behind another may repeat what is known.
    const fresh = entries.filter(({ position }) => position > this.#position);
    if (fresh.length > 0) {
      this.#position = fresh.at(-1)!.position;
      this.#options.onEntries(fresh, false);
    }
    if (state !== undefined) this.#judge(state);
  }

  #meet({ log, time }: FeedState, asked: number): void {
    if (log !== this.#log) {
      this.#joined = false;
      throw new WritError('unavailable', 'The server has begun a new log.');
    }
    this.#ahead = time - asked;
    this.#options.onJoined?.();
  }

  /** A heartbeat counts when everything before it is known, and it is not from a replica that knows less than another. */
  #judge({ position, epoch, as_of, time }: FeedState): void {
    if (epoch < this.#epoch || position > this.#position) return;
    this.#epoch = epoch;
    // As old as this clock says since the stream was asked for, and no younger than the sender says itself.
    const age = Math.max(this.serverTime() - as_of, time - as_of);
    if (age < -AHEAD_MS) throw new WritError('unavailable', 'The clock of the server was set.');
    const { clock } = this.#options;
    this.#beat = { steady: clock.steady(), wall: clock.wall(), age: Math.max(0, age), asOf: as_of };
    this.#options.onFresh();
    if (age <= SILENCE_MS) this.#failures = 0;
    else if (this.#options.servers.length > 1) {
      throw new WritError('unavailable', 'What this relay knows is old; another is asked.');
    }
  }
}

function refused(status: number): WritError {
  return new WritError('unavailable', `The server refused the feed with status ${status}.`, {
    remedy: 'Check that the identity of this program is good.',
  });
}
