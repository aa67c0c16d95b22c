import type { TLSSocket } from 'node:tls';
import type { Caller } from '../base/access.ts';
import type { Reply } from './route.ts';

/** Another protocol on the same port, for clients that ask for it in the handshake (ALPN) and for nothing else. */
export interface OtherProtocol {
  readonly alpn: string;
  /** Takes a connection over, of which nothing has been read. */
  accept(socket: TLSSocket, door: Door): void;
  /** Takes no more calls, waits for those that run, and closes what is left after `graceMs`. */
  close(graceMs: number): Promise<void>;
}

/** What each call over such a connection passes: authentication and bounds are those of requests over HTTP/1.1. */
export interface Door {
  /**
   * Counts a call in before anything of it is read; gives what counts it out again, told the status that it would have had
   * over HTTP/1.1. Rejects where there is no room, or the caller is not good.
   */
  enter(): Promise<(status: number) => void>;
  /** Who calls, as of now. Throws or rejects when the caller is not good any more. */
  authenticate(): Caller | Promise<Caller>;
  /**
   * Counts an answer that goes on; gives what counts it out again. `end` is called when the server stops. Throws when there
   * are too many.
   */
  stream(end: () => void): () => void;
  /** What a request over HTTP/1.1 would be told of an error. */
  problem(error: unknown): Reply;
}
