import type { Caller } from '../base/access.ts';
import type { Clock } from '../base/clock.ts';
import type { ReplyStream } from '../http/stream.ts';
import type { FeedEntry, FeedState } from '../wire/feed.ts';
import type { FeedTail } from './feed-tail.ts';

/** Who reads the feed over one connection. */
export interface Subscriber {
  readonly stream: ReplyStream;
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
  readonly #points = new Map<string, number>();
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

  /** Enforcement points of this thread. */
  points(): Iterable<string> {
    return this.#points.keys();
  }

  has(point: string): boolean {
    return this.#points.has(point);
  }

  /** Adds a subscriber that is sent what follows its position; false when that is not in memory any more. */
  add(subscriber: Subscriber): void {
    const { stream, caller, point, after } = subscriber;
    const missed = this.#tail!.after(after);
    stream.write(eventText('hello', this.#state()));
    if (missed === undefined) {
      stream.write('event: behind\ndata: {}\n\n');
      stream.end();
      return;
    }
    if (missed.length > 0) stream.write(entriesText(this.#tail!.log, missed));
    // Whoever has caught up is told so at once.
    stream.write(eventText('heartbeat', this.#state()));
    const member: Member = { ...subscriber, subjects: subjectsOf(caller), beats: 0 };
    const turn = this.#turns[this.#joined++ % TURNS]!;
    turn.add(member);
    for (const subject of member.subjects) addTo(this.#bySubject, subject, member);
    if (point !== undefined) this.#points.set(point, (this.#points.get(point) ?? 0) + 1);
    stream.onEnd(() => {
      turn.delete(member);
      for (const subject of member.subjects) removeFrom(this.#bySubject, subject, member);
      if (point === undefined) return;
      const left = (this.#points.get(point) ?? 1) - 1;
      if (left > 0) this.#points.set(point, left);
      else this.#points.delete(point);
    });
  }

  /** Sends new entries to everybody; whoever they stop hears of it and is cut off. */
  send(entries: readonly FeedEntry[]): void {
    if (this.#tail === undefined) return;
    const text = Buffer.from(entriesText(this.#tail.log, entries));
    for (const turn of this.#turns) for (const { stream } of turn) stream.write(text);
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
    const text = Buffer.from(eventText('heartbeat', this.#state()));
    for (const member of turn) {
      member.stream.write(text);
      member.beats += 1;
      if (member.beats % LOOKS_EVERY === 0) void member.stream.look();
    }
  }

  #state(): FeedState {
    const { log, position, epoch } = this.#tail!;
    return { log, position, epoch, as_of: this.#tail!.asOf(), time: this.#clock.now() };
  }
}

function eventText(event: string, data: object): string {
  return `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
}

function entriesText(log: number, entries: readonly FeedEntry[]): string {
  return entries
    .map((entry) => `id: ${log}.${entry.position}\nevent: entry\ndata: ${JSON.stringify(entry)}\n\n`)
    .join('');
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
