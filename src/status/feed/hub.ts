import type { Caller } from '../../base/access.ts';
import type { Clock } from '../../base/clock.ts';
import type { FeedEntry, FeedState } from '../../wire/feed.ts';
import { CATCH_UP } from '../../wire/feed-events.ts';
import { PointRegister } from '../../wire/feed-points.ts';
import type { FeedSegment } from '../../wire/feed-statement.ts';
import type { FeedTail } from './tail.ts';

/** The connection of a subscriber, whichever protocol it is. */
export interface FeedStream {
  /** Sends a piece; a reader that is too slow is cut off instead. Does nothing once ended. */
  write(piece: string | Uint8Array): void;
  end(): void;
  /** Called once, when it has ended for whatever reason. */
  onEnd(listener: () => void): void;
  /** Authenticates the caller again, as of now, and cuts the stream when that fails. Never rejects. */
  look(): Promise<void>;
}

/** How a protocol writes the feed. */
export interface FeedEncoding {
  state(kind: 'hello' | 'heartbeat', state: FeedState): Uint8Array;
  entries(segment: FeedSegment): Uint8Array;
  behind(): Uint8Array;
}

/** Who reads the feed over one connection. */
export interface Subscriber {
  readonly stream: FeedStream;
  readonly encoding: FeedEncoding;
  readonly caller: Caller;
  /** Name of an enforcement point, unique among all callers; undefined for a reader that acknowledges nothing. */
  readonly point: string | undefined;
  /** Entries up to this are known there. */
  readonly after: number;
}

/** Turns in which heartbeats go out within a second, so that many subscribers do not hold up an entry. */
const TURNS = 10;
const TURN_MS = 1000 / TURNS;
/** Heartbeats after which a subscriber's standing is looked at, whatever the feed said. */
const LOOKS_EVERY = 15;
/** Points behind relays that one thread keeps in mind. */
const MOST_BEHIND = 16_384;

/** Subjects that a member is known by; others may reach anybody. */
const NARROW = /^(?:serial|instance|agent|operator):/;

interface Member extends Subscriber {
  readonly subjects: readonly string[];
  beats: number;
}

/** The subscribers of one thread. Entries are written once and sent to all; nobody causes a read of the database. */
export class FeedHub {
  readonly #clock: Clock;
  readonly #turns: Set<Member>[] = Array.from({ length: TURNS }, () => new Set());
  /** By what would stop them. */
  readonly #bySubject = new Map<string, Set<Member>>();
  readonly #points = new PointRegister(MOST_BEHIND);
  readonly #timer: NodeJS.Timeout;
  #tail: FeedTail | undefined;
  #turn = 0;
  #joined = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#timer = setInterval(() => this.#beat(), TURN_MS);
    this.#timer.unref();
  }

  /** Where the tail's entries come in; to be told before anybody subscribes. */
  follow(tail: FeedTail): void {
    this.#tail = tail;
  }

  /** Subscribers of this thread. */
  count(): number {
    return this.#turns.reduce((sum, turn) => sum + turn.size, 0);
  }

  /** Enforcement points of this thread, and those behind them that were told of. */
  points(): Iterable<string> {
    return this.#points.names();
  }

  has(point: string): boolean {
    return this.#points.has(point);
  }

  /** Which points read from one of this thread's. */
  setBehind(point: string, behind: readonly string[]): void {
    this.#points.setBehind(point, behind);
  }

  /** Adds a subscriber that is sent what follows its position, or told that it has to read that from the pages. */
  add(subscriber: Subscriber): void {
    const { stream, encoding, caller, point, after } = subscriber;
    const missed = this.#tail!.after(after);
    stream.write(encoding.state('hello', this.#state()));
    const piece = missed === undefined || missed.length === 0 ? undefined : this.#written(missed, after)(encoding);
    if (missed === undefined || (piece?.length ?? 0) > CATCH_UP) {
      stream.write(encoding.behind());
      stream.end();
      return;
    }
    if (piece !== undefined) stream.write(piece);
    // Whoever has caught up is told so at once.
    stream.write(encoding.state('heartbeat', this.#state()));
    const member: Member = { ...subscriber, subjects: subjectsOf(caller), beats: 0 };
    const turn = this.#turns[this.#joined++ % TURNS]!;
    turn.add(member);
    for (const subject of member.subjects) addTo(this.#bySubject, subject, member);
    if (point !== undefined) this.#points.enter(point);
    stream.onEnd(() => {
      turn.delete(member);
      for (const subject of member.subjects) removeFrom(this.#bySubject, subject, member);
      if (point !== undefined) this.#points.leave(point);
    });
  }

  /**
   * Sends new entries to everybody, which are all that follows a position; whoever they stop hears of it and is cut off.
   */
  send(entries: readonly FeedEntry[], after: number): void {
    if (this.#tail === undefined) return;
    const text = this.#written(entries, after);
    for (const turn of this.#turns) for (const { stream, encoding } of turn) stream.write(text(encoding));
    const hit = new Set<Member>();
    for (const { subjects } of entries) {
      for (const subject of subjects) {
        for (const member of this.#bySubject.get(subject) ?? []) hit.add(member);
        if (!NARROW.test(subject)) for (const turn of this.#turns) for (const member of turn) hit.add(member);
      }
    }
    for (const { stream } of hit) void stream.look();
  }

  close(): void {
    clearInterval(this.#timer);
    for (const turn of this.#turns) for (const { stream } of turn) stream.end();
  }

  #beat(): void {
    const turn = this.#turns[this.#turn++ % TURNS]!;
    if (turn.size === 0 || this.#tail === undefined) return;
    const state = this.#state();
    const text = once((encoding) => encoding.state('heartbeat', state));
    for (const member of turn) {
      member.stream.write(text(member.encoding));
      member.beats += 1;
      if (member.beats % LOOKS_EVERY === 0) void member.stream.look();
    }
  }

  #written(entries: readonly FeedEntry[], after: number): (encoding: FeedEncoding) => Uint8Array {
    const segment = { log: this.#tail!.log, after, position: entries.at(-1)?.position ?? after, entries };
    return once((encoding) => encoding.entries(segment));
  }

  #state(): FeedState {
    const { log, position, epoch } = this.#tail!;
    return { log, position, epoch, as_of: this.#tail!.asOf(), time: this.#clock.now() };
  }
}

/** Writes the same thing once for each encoding, however many read it. */
function once(write: (encoding: FeedEncoding) => Uint8Array): (encoding: FeedEncoding) => Uint8Array {
  const written = new Map<FeedEncoding, Uint8Array>();
  return (encoding) => {
    const known = written.get(encoding);
    if (known !== undefined) return known;
    const piece = write(encoding);
    written.set(encoding, piece);
    return piece;
  };
}

/** What an entry can name to stop this caller. */
function subjectsOf({ serial, instance, agent, operator }: Caller): string[] {
  return [
    ...(serial === undefined ? [] : [`serial:${Buffer.from(serial).toString('hex')}`]),
    ...(instance === undefined ? [] : [`instance:${instance}`]),
    ...(agent === undefined ? [] : [`agent:${agent}`]),
    ...(operator === undefined ? [] : [`operator:${operator}`]),
  ];
}

function addTo<V>(map: Map<string, Set<V>>, key: string, value: V): void {
  const set = map.get(key);
  if (set === undefined) map.set(key, new Set([value]));
  else set.add(value);
}

function removeFrom<V>(map: Map<string, Set<V>>, key: string, value: V): void {
  const set = map.get(key);
  if (set?.delete(value) === true && set.size === 0) map.delete(key);
}
