import type { TLSSocket } from 'node:tls';
import type { PeerFacts } from '../peer/facts.ts';

/** Timers stand still while a machine sleeps, so a long wait is cut into pieces that look at the clock. */
const LONGEST_WAIT_MS = 30_000;
/** How long a peer may take to read what was written before it was cut off. */
const LINGER_MS = 500;

/** Open connections by what would stop their peers. */
export class LiveConnections {
  readonly #bySubject = new Map<string, Set<TLSSocket>>();
  /** They carry the feed: they fall with their peer, but not because what is known has become old. */
  readonly #carriers = new WeakSet<TLSSocket>();
  /** Nothing but the feed tells of their peers. */
  readonly #ephemeral = new WeakSet<TLSSocket>();

  /** Remembers a connection until it closes. */
  hold(
    socket: TLSSocket,
    { subjects, notAfter, ephemeral }: Pick<PeerFacts, 'subjects' | 'notAfter' | 'ephemeral'>,
    carriesFeed: boolean,
  ): void {
    if (ephemeral) this.#ephemeral.add(socket);
    if (carriesFeed) {
      this.#carriers.add(socket);
      this.#endAt(socket, notAfter);
    }
    for (const subject of subjects) {
      const live = this.#bySubject.get(subject) ?? new Set();
      live.add(socket);
      this.#bySubject.set(subject, live);
    }
    socket.once('close', () => {
      for (const subject of subjects) {
        const live = this.#bySubject.get(subject);
        if (live?.delete(socket) === true && live.size === 0) this.#bySubject.delete(subject);
      }
    });
  }

  /**
   * Closes a connection when its peer's certificate expires. One that is asked for each request is told then; what streams
   * is not asked, and whoever was refused a new certificate would go on.
   */
  #endAt(socket: TLSSocket, notAfter: number): void {
    const look = (): void => {
      const left = notAfter - Date.now();
      if (left <= 0) socket.destroy();
      else timer = setTimeout(look, Math.min(left, LONGEST_WAIT_MS)).unref();
    };
    let timer: NodeJS.Timeout | undefined;
    look();
    socket.once('close', () => clearTimeout(timer));
  }

  /** What somebody is connected under. */
  subjects(): readonly string[] {
    return [...this.#bySubject.keys()];
  }

  /** Closes the connections of what has fallen, but for those that carry the feed. */
  cut(subjects: readonly string[]): void {
    for (const socket of this.#of(subjects)) if (!this.#carriers.has(socket)) socket.destroy();
  }

  /** Closes those that do, once what was written has gone out: it says why. */
  cutCarriers(subjects: readonly string[]): void {
    for (const socket of this.#of(subjects)) {
      if (!this.#carriers.has(socket)) continue;
      // What HTTP has been given to write, it writes at the end of this turn.
      setImmediate(() => socket.destroySoon());
      setTimeout(() => socket.destroy(), LINGER_MS).unref();
    }
  }

  *#of(subjects: readonly string[]): Generator<TLSSocket, void> {
    for (const subject of subjects) yield* this.#bySubject.get(subject) ?? [];
  }

  /** Closes all but those that carry the feed, or of these only the ones whose peers are ephemeral. */
  cutStale(which: 'all' | 'ephemeral'): void {
    for (const sockets of this.#bySubject.values()) {
      for (const socket of sockets) {
        if (!this.#carriers.has(socket) && (which === 'all' || this.#ephemeral.has(socket))) socket.destroy();
      }
    }
  }
}
