import { constants, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import { WritError } from '../base/error.ts';
import { FrameReader } from './frame.ts';
import type { GrpcLimits } from './limits.ts';
import { OK, type Status, statusTrailers } from './status.ts';

/** How long a call may linger when it is over: its last words are on their way, or the other side still talks. */
const LINGER_MS = 1000;

/** Made once, since that takes longer than most of a call. */
const OVER = new DOMException('The call is over.', 'AbortError');

/** One call at the server, before its messages have a type. `C`: what is known of the connection. */
export class ServerCall<C> {
  readonly connection: C;
  readonly metadata: IncomingHttpHeaders;
  readonly #stream: ServerHttp2Stream;
  readonly #limits: GrpcLimits;
  readonly #over = new AbortController();
  readonly #timers: NodeJS.Timeout[] = [];
  #responded = false;
  #ended = false;
  #trailers: Record<string, string> = {};

  constructor(
    stream: ServerHttp2Stream,
    given: { readonly metadata: IncomingHttpHeaders; readonly connection: C; readonly limits: GrpcLimits },
  ) {
    this.#stream = stream;
    this.#limits = given.limits;
    this.connection = given.connection;
    this.metadata = given.metadata;
    stream.on('wantTrailers', () => stream.sendTrailers(this.#trailers));
    stream.once('close', () => {
      this.#ended = true;
      for (const timer of this.#timers) clearTimeout(timer);
      this.#over.abort(OVER);
    });
  }

  /** Aborted when the call is over: ended here, given up there, or past its deadline. */
  get signal(): AbortSignal {
    return this.#over.signal;
  }

  /** Ends the call with `deadline_exceeded` unless it is over by then. */
  expireAfter(milliseconds: number, message: string): void {
    const timer = setTimeout(() => this.end({ code: 'deadline_exceeded', message }), milliseconds);
    timer.unref();
    this.#timers.push(timer);
  }

  /** Messages as they come. Throws on what breaks the framing or is too large. */
  async *messages(): AsyncGenerator<Uint8Array, void> {
    const frames = new FrameReader(this.#limits.message);
    for await (const piece of this.#stream.iterator({ destroyOnReturn: false }))
      yield* frames.push(piece as Uint8Array);
    frames.end();
  }

  /** The one message of a call that has one. */
  async onlyMessage(): Promise<Uint8Array> {
    const late = setTimeout(
      () => this.end({ code: 'deadline_exceeded', message: 'The request did not arrive in time.' }),
      this.#limits.requestTimeout,
    );
    late.unref();
    try {
      let only: Uint8Array | undefined;
      for await (const message of this.messages()) {
        if (only !== undefined) throw notOne('two');
        only = message;
      }
      if (only === undefined) throw notOne('none');
      return only;
    } finally {
      clearTimeout(late);
    }
  }

  /**
   * Sends a message in its frame, which many calls may share. A reader for whom more than the bound is waiting
   * already is broken off. Does nothing once the call has ended.
   */
  write(frame: Uint8Array): void {
    if (this.#ended) return;
    if (!this.#responded) {
      this.#responded = true;
      this.#stream.respond(HEADERS, { waitForTrailers: true });
    }
    // What waited before counts: one large message is no sign of a slow reader.
    if (this.#stream.writableLength > this.#limits.waiting) this.#stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM);
    else this.#stream.write(frame);
  }

  /** Octets that its reader has not taken yet. */
  get waiting(): number {
    return this.#stream.writableLength;
  }

  /** Ends the call behind what was written. Does nothing the second time. */
  end(status: Status = OK): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#trailers = statusTrailers(status);
    if (this.#responded) this.#stream.end();
    else this.#stream.respond({ ...HEADERS, ...this.#trailers }, { endStream: true });
    this.#discard();
  }

  /** Takes no notice of what the other side still says, and does not listen for long. */
  #discard(): void {
    const late = setTimeout(() => this.#stream.close(constants.NGHTTP2_CANCEL), LINGER_MS);
    late.unref();
    this.#timers.push(late);
    if (this.#stream.readableEnded) return;
    let dropped = 0;
    this.#stream.on('data', (piece: Uint8Array) => {
      dropped += piece.length;
      if (dropped > this.#limits.message) this.#stream.close(constants.NGHTTP2_CANCEL);
    });
  }
}

const HEADERS = { ':status': 200, 'content-type': 'application/grpc', 'grpc-accept-encoding': 'identity' } as const;

function notOne(how: string): WritError {
  return new WritError('bad_request', `The call takes one message, and ${how} came.`, {
    remedy: 'Send one message and end the request.',
  });
}
