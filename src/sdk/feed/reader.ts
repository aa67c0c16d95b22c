import { setTimeout as pause } from 'node:timers/promises';
import { isWritError, WritError } from '../../base/error.ts';
import type { FeedEntry, FeedPage, FeedState } from '../../wire/feed.ts';
import { entryAt, parseFeedEvent } from '../../wire/feed-events.ts';
import type { FeedSegment, SignedStatement } from '../../wire/feed-statement.ts';
import type { Fetch } from '../identity/fetch.ts';
import type { MachineClock } from '../machine-clock.ts';
import type { PeerRule } from '../peer/peer.ts';
import type { FeedSignatures } from './signatures.ts';
import { type FeedIdentity, readFeedStream, refused } from './stream.ts';
import { FeedTime } from './time.ts';

export interface FeedReaderOptions {
  readonly identity: FeedIdentity;
  /** `https://host:port` of the API, or of relays, which are tried in turn. */
  readonly servers: readonly string[];
  /** Who may answer there. */
  readonly allow: PeerRule;
  /** They are relays: of what they say, only that counts which the authority has signed. */
  readonly relayed: boolean;
  readonly signatures: FeedSignatures;
  /** Name under which entries are acknowledged. */
  readonly point: string;
  readonly clock: MachineClock;
  /**
   * New entries, in order. `anew`: all that is in force, in place of everything that was known. With `segment` they can be
   * passed on: without it they were read from pages.
   */
  readonly onEntries: (entries: readonly FeedEntry[], anew: boolean, segment: PassedOn | undefined) => void;
  /** The stream was joined, from here on as the point that it is. */
  readonly onJoined?: () => void;
  /** Everything up to the server's own position is known, as of a moment that `age` tells. */
  readonly onFresh: () => void;
  /** The connection was lost or refused; it is made again. */
  readonly onLost: (error: Error) => void;
}

/** Entries as the authority signed them. */
export interface PassedOn extends FeedSegment {
  readonly signed: SignedStatement;
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
  readonly #time: FeedTime;
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
  /** What is signed is read: by who follows a relay, and by a relay, to pass it on. */
  #signed: boolean;
  #latest: SignedStatement | undefined;
  #leave = new AbortController();

  constructor(options: FeedReaderOptions) {
    this.#options = options;
    this.#signed = options.relayed;
    this.#time = new FeedTime(options.clock);
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
    // One clock stands still while a machine sleeps, the other can be set.
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

  /** The latest heartbeat as the authority signed it, for who passes it on. */
  get latest(): SignedStatement | undefined {
    return this.#latest;
  }

  /** The server's time now, milliseconds; never earlier than it really is. */
  serverTime(): number {
    return this.#time.now();
  }

  /** From now on what is signed is read, so that it can be passed on. */
  passOn(): void {
    if (this.#signed) return;
    this.#signed = true;
    this.#leave.abort();
  }

  close(): void {
    this.#closing.abort();
  }

  async #run(): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      try {
        if (!this.#joined) await this.#readPages();
        await this.#askTime();
        await this.#readStream();
      } catch (error) {
        if (signal.aborted) return;
        if (!this.#leave.signal.aborted) {
          // What is not believed as it was passed on is asked for again, as it is signed now.
          if (isWritError(error, 'bad_certificate')) this.#joined = false;
          this.#options.onLost(this.#about(error as Error));
          this.#turn += 1;
        }
      }
      const wait = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** this.#failures++);
      await pause(wait * (0.5 + Math.random()), undefined, { signal, ref: false }).catch(() => undefined);
    }
  }

  /** What went wrong, and at which of several that need not be believed. */
  #about(error: Error): Error {
    if (!this.#options.relayed) return error;
    return new WritError(isWritError(error) ? error.code : 'unavailable', `Relay ${this.server}: ${error.message}`, {
      remedy: 'Ask who runs it; until then name another, or read the feed from the authority.',
      cause: error,
    });
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
    if (this.#log !== page.log) this.#latest = undefined;
    this.#log = page.log;
    this.#position = page.position;
    this.#options.onEntries(entries, anew, undefined);
    this.#joined = true;
  }

  async #page(after: number): Promise<FeedPage> {
    const signal = AbortSignal.any([this.#closing.signal, AbortSignal.timeout(10 * SILENCE_MS)]);
    const { relayed, signatures } = this.#options;
    const path = relayed ? '/v1/feed/signed-entries' : '/v1/feed/entries';
    const answer = await this.#fetch(`${this.server}${path}?after=${after}`, { signal });
    if (!answer.ok) throw refused(answer.status);
    if (!relayed) return (await answer.json()) as FeedPage;
    const said = signatures.read((await answer.json()) as SignedStatement);
    // Numbers of logs only grow: what an older one said does not take the place of what is known.
    if (said.kind === 'page' && said.after === after && said.log >= this.#log) return said;
    throw new WritError('bad_certificate', 'It gives another page than the one that was asked for.');
  }

  /** What was said before it was asked, a relay may have kept back for as long as it likes. */
  async #askTime(): Promise<void> {
    if (!this.#options.relayed) return;
    await this.#time.ask(this.server, { fetch: this.#fetch, ...this.#options }).catch((error: unknown) => {
      // A relay that is cut off itself cannot ask; by what is known, all that it says grows old.
      if (!this.#time.known || isWritError(error, 'bad_certificate')) throw error;
    });
  }

  /** Resolves when the server ended the stream, rejects when it broke. */
  #readStream(): Promise<void> {
    const { identity, allow, point, clock } = this.#options;
    this.#leave = new AbortController();
    let asked = clock.steady();
    return readFeedStream({
      ...{ identity, allow, server: this.server, place: this.place, silence: SILENCE_MS },
      path: `/v1/feed?point=${encodeURIComponent(point)}${this.#signed ? '&signed=1' : ''}`,
      signal: AbortSignal.any([this.#closing.signal, this.#leave.signal]),
      onAsk() {
        asked = clock.steady();
      },
      onBlocks: this.#signed
        ? (blocks) => this.#takeSigned(blocks, asked)
        : (blocks) => {
            this.#take(blocks, asked);
            return true;
          },
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
      else if (event?.kind === 'behind') throw this.#behind();
    }
    // A replica that is a moment behind another may repeat what is known.
    const fresh = entries.filter(({ position }) => position > this.#position);
    if (fresh.length > 0) {
      this.#position = fresh.at(-1)!.position;
      this.#options.onEntries(fresh, false, undefined);
    }
    if (state !== undefined) this.#judge(state);
  }

  /** The same of what is signed; nothing else counts. True where there was a heartbeat that counts. */
  #takeSigned(blocks: readonly string[], asked: number): boolean {
    let alive = false;
    for (const block of blocks) {
      const event = parseFeedEvent(block);
      if (event?.kind === 'hello') this.#meet(event.state, asked);
      else if (event?.kind === 'behind') throw this.#behind();
      else if (event?.kind === 'entry' || event?.kind === 'heartbeat') {
        throw new WritError('bad_certificate', 'What it passes on is not signed by the authority.');
      } else if (event?.kind === 'signed') {
        const said = this.#options.signatures.read(event.signed);
        if (said.kind === 'entries') this.#takeSegment({ ...said, signed: event.signed });
        else if (said.kind === 'state') alive = this.#takeState(said, event.signed) || alive;
      }
    }
    return alive;
  }

  #takeSegment(segment: PassedOn): void {
    const known = this.#position;
    if (segment.log !== this.#log || segment.after > known) throw this.#gap();
    if (segment.position <= known) return;
    this.#position = segment.position;
    const time = this.serverTime();
    const entries = segment.entries.filter(({ position }) => position > known).map((entry) => entryAt(entry, time));
    this.#options.onEntries(entries, false, segment);
  }

  #takeState(state: FeedState, signed: SignedStatement): boolean {
    if (state.log !== this.#log || state.position > this.#position) throw this.#gap();
    if (state.epoch < this.#epoch) return false;
    if (this.#options.relayed && this.#time.due) void this.#askTime().catch(() => undefined);
    this.#latest = signed;
    this.#judge(state);
    return true;
  }

  #behind(): WritError {
    this.#joined = false;
    return new WritError('unavailable', 'What was missed is not on the stream any more; it is read from the pages.');
  }

  #gap(): WritError {
    this.#joined = false;
    return new WritError('bad_certificate', 'Entries of the feed were left out.');
  }

  #meet({ log, time }: FeedState, asked: number): void {
    if (log !== this.#log) {
      this.#joined = false;
      throw new WritError('unavailable', 'The server has begun a new log.');
    }
    if (!this.#options.relayed) this.#time.told(time, asked);
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
    if (age <= SILENCE_MS) {
      this.#failures = 0;
      return;
    }
    const { servers, relayed, onLost } = this.#options;
    if (servers.length > 1) throw new WritError('unavailable', 'What it knows is old; another is asked.');
    if (relayed) onLost(this.#about(new WritError('unavailable', 'What it knows is old.')));
  }
}
