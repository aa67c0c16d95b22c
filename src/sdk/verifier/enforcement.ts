import type { TLSSocket } from 'node:tls';
import type { FeedAck, FeedEntry } from '../../wire/feed.ts';
import type { Acknowledger } from '../feed/acknowledger.ts';
import type { FeedReader } from '../feed/reader.ts';
import type { PeerFacts } from '../peer/facts.ts';
import { LiveConnections } from './live.ts';
import type { Standing } from './standing.ts';
import { Stopped } from './stopped.ts';
import { Uses } from './uses.ts';

/** How long after an entry uses are still looked for that should not have been. */
const AFTER_MS = 1000;

/** Carries out what the feed says: closes what falls, and tells the server what was refused and what had been accepted. */
export class Enforcement {
  readonly live: LiveConnections = new LiveConnections();
  readonly #standing: Standing;
  readonly #reader: FeedReader;
  readonly #acknowledger: Acknowledger;
  readonly #uses = new Uses();

  constructor(parts: { standing: Standing; reader: FeedReader; acknowledger: Acknowledger }) {
    this.#standing = parts.standing;
    this.#reader = parts.reader;
    this.#acknowledger = parts.acknowledger;
  }

  /** A use that was accepted. */
  used({ subjects }: PeerFacts): void {
    this.#uses.add(subjects, this.#reader.serverTime());
  }

  /** Keeps a connection that carries the feed for as long as its peer stands; without facts it has none to keep it by. */
  carry(socket: TLSSocket, facts: PeerFacts | undefined): void {
    // A resumed session has not shown its certificate again.
    if (facts === undefined || socket.isSessionReused()) socket.destroy();
    else this.live.hold(socket, facts, true);
  }

  /** Takes entries over, `anew` in place of all that was known. Gives the subjects that have fallen. */
  apply(entries: readonly FeedEntry[], anew: boolean): readonly string[] {
    if (anew) this.#standing.stopped = new Stopped();
    const { stopped } = this.#standing;
    const acks: FeedAck[] = [];
    const all = new Set<string>();
    for (const entry of entries) {
      const fallen = stopped.apply(entry);
      this.live.cut(fallen);
      for (const subject of fallen) all.add(subject);
      const before = anew ? 0 : this.#uses.since(fallen, entry.at);
      if (before > 0) acks.push({ position: entry.position, accepted_before: before });
    }
    if (anew) {
      for (const subject of this.live.subjects()) if (stopped.of([subject]) !== undefined) all.add(subject);
      this.live.cut([...all]);
    }
    const last = entries.at(-1);
    if (last !== undefined && acks.at(-1)?.position !== last.position) acks.push({ position: last.position });
    this.#acknowledger.add(acks, this.#reader);
    if (!anew) this.#lookAfter(entries);
    return [...all];
  }

  /** Looks once more, later, whether anything was accepted that should not have been, and says so where it was. */
  #lookAfter(entries: readonly FeedEntry[]): void {
    const from = this.#reader.serverTime();
    setTimeout(() => {
      for (const { effect, position, subjects } of entries) {
        const { stopped } = this.#standing;
        const after = effect === 'release' || stopped.of(subjects) === undefined ? 0 : this.#uses.since(subjects, from);
        if (after > 0) this.#acknowledger.add([{ position, accepted_after: after }], this.#reader);
      }
    }, AFTER_MS).unref();
  }
}
