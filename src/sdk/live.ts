import type { TLSSocket } from 'node:tls';

/** Open connections by what would stop their peers. */
export class LiveConnections {
  readonly #bySubject = new Map<string, Set<TLSSocket>>();
  /** They carry the feed: they fall with their peer, but not because what is known has become old. */
  readonly #carriers = new WeakSet<TLSSocket>();

  /** Remembers a connection until it closes. */
  hold(socket: TLSSocket, subjects: readonly string[], carriesFeed: boolean): void {
    if (carriesFeed) this.#carriers.add(socket);
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

  /** What somebody is connected under. */
  subjects(): readonly string[] {
    return [...this.#bySubject.keys()];
  }

  /** Closes the connections of what has fallen. */
  cut(subjects: readonly string[]): void {
    for (const subject of subjects) for (const socket of this.#bySubject.get(subject) ?? []) socket.destroy();
  }

  /** Closes all but those that carry the feed. */
  cutAll(): void {
    for (const sockets of this.#bySubject.values()) {
      for (const socket of sockets) if (!this.#carriers.has(socket)) socket.destroy();
    }
  }
}
