import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from 'node:http2';
import type { Duplex } from 'node:stream';
import type { Codec } from './codec.ts';
import { encodeFrame, FrameReader } from './frame.ts';
import { DEFAULT_GRPC_LIMITS, type GrpcLimits } from './limits.ts';
import { type Status, statusOfHttp, statusOfTrailers } from './status.ts';
import { formatTimeout } from './timeout.ts';

/** One method as a client calls it. */
export interface ClientMethod<Request, Response> {
  readonly path: string;
  readonly request: Codec<Request>;
  readonly response: Codec<Response>;
}

export interface CallOptions {
  /** Milliseconds until the call ends with `deadline_exceeded`, which the server is told. Absent: it may last. */
  readonly timeout?: number;
}

export type Answer<T> = { readonly ok: true; readonly message: T } | { readonly ok: false; readonly status: Status };

export interface GrpcClientOptions {
  /** `https://host:port`, or `http://localhost` for a connection without TLS. Names the server in each call. */
  readonly authority: string;
  /** Opens a connection; over TLS one that asks for `h2`. Called again when the one before has closed. */
  readonly connect: () => Duplex;
  readonly limits?: GrpcLimits;
  /** Sent with each call. */
  readonly metadata?: Readonly<Record<string, string>>;
}

/** Calls methods over one connection, which it opens when it is needed and again when it was lost. Close it when done. */
export class GrpcClient {
  readonly #options: GrpcClientOptions;
  readonly #limits: GrpcLimits;
  #session: ClientHttp2Session | undefined;

  constructor(options: GrpcClientOptions) {
    this.#options = options;
    this.#limits = options.limits ?? DEFAULT_GRPC_LIMITS;
  }

  /** One request, one answer. Never rejects. */
  async unary<Q, A>(method: ClientMethod<Q, A>, request: Q, options: CallOptions = {}): Promise<Answer<A>> {
    const call = this.open(method, options);
    call.send(request);
    call.finish();
    let answer: A | undefined;
    for await (const message of call.messages()) answer = message;
    const status = await call.status;
    if (status.code !== 'ok') return { ok: false, status };
    if (answer !== undefined) return { ok: true, message: answer };
    return { ok: false, status: { code: 'internal', message: 'The server gave no answer.' } };
  }

  /** One request, many answers. */
  serverStream<Q, A>(method: ClientMethod<Q, A>, request: Q, options: CallOptions = {}): ClientCall<Q, A> {
    const call = this.open(method, options);
    call.send(request);
    call.finish();
    return call;
  }

  /** Begins a call, whose messages go both ways. */
  open<Q, A>(method: ClientMethod<Q, A>, { timeout }: CallOptions = {}): ClientCall<Q, A> {
    const stream = this.#connected().request({
      ...this.#options.metadata,
      ...{ ':method': 'POST', ':path': method.path, te: 'trailers', 'content-type': 'application/grpc' },
      ...(timeout === undefined ? {} : { 'grpc-timeout': formatTimeout(timeout) }),
    });
    return new ClientCall(stream, method, { limits: this.#limits, timeout });
  }

  close(): void {
    this.#session?.destroy();
    this.#session = undefined;
  }

  #connected(): ClientHttp2Session {
    const known = this.#session;
    if (known !== undefined && !known.closed && !known.destroyed) return known;
    const { authority, connect: createConnection } = this.#options;
    const session = connect(authority, {
      createConnection,
      settings: { enablePush: false, maxHeaderListSize: this.#limits.metadata },
      maxHeaderListPairs: this.#limits.metadataPairs,
    });
    // Each call says what became of it.
    session.on('error', () => undefined);
    this.#session = session;
    return session;
  }
}

/** One call at the client. Its messages have to be read for its status to come. */
export class ClientCall<Q, A> {
  /** How it ended. Never rejects. */
  readonly status: Promise<Status>;
  readonly #stream: ClientHttp2Stream;
  readonly #method: ClientMethod<Q, A>;
  readonly #limits: GrpcLimits;
  /** Decided on this side, whatever the other one says. */
  #own: Status | undefined;

  constructor(
    stream: ClientHttp2Stream,
    method: ClientMethod<Q, A>,
    given: { readonly limits: GrpcLimits; readonly timeout: number | undefined },
  ) {
    this.#stream = stream;
    this.#method = method;
    this.#limits = given.limits;
    const { timeout } = given;
    const late = timeout === undefined ? undefined : setTimeout(() => this.#giveUp(DEADLINE), timeout);
    this.status = new Promise((resolve) => {
      let said: Status | undefined;
      let lost = '';
      stream.on('error', (error) => {
        lost = error.message;
      });
      stream.on('response', (headers) => {
        const http = headers[':status'] ?? 0;
        if (http !== 200) said = { code: statusOfHttp(http), message: `The server answered with HTTP status ${http}.` };
        // An answer without messages has its trailers in its headers.
        else if (headers['grpc-status'] !== undefined) said = statusOfTrailers(headers as Record<string, string>);
      });
      stream.on('trailers', (trailers) => {
        said ??= statusOfTrailers(trailers as Record<string, string>);
      });
      stream.once('close', () => {
        clearTimeout(late);
        resolve(this.#own ?? said ?? brokenOff(stream.rstCode, lost));
      });
    });
  }

  send(message: Q): void {
    if (!this.#stream.writableEnded) this.#stream.write(encodeFrame(this.#method.request.encode(message)));
  }

  /** Says that nothing more is sent. */
  finish(): void {
    this.#stream.end();
  }

  /** The answers. Ends when the call does, however that is. */
  async *messages(): AsyncGenerator<A, void> {
    const frames = new FrameReader(this.#limits.message);
    try {
      for await (const piece of this.#stream.iterator({ destroyOnReturn: false })) {
        for (const message of this.#framed(frames, piece as Uint8Array)) yield message;
      }
    } catch {
      // The status has it.
    }
  }

  cancel(): void {
    this.#giveUp({ code: 'cancelled', message: 'The call was given up here.' });
  }

  #framed(frames: FrameReader, piece: Uint8Array): A[] {
    try {
      return frames.push(piece).map((message) => this.#method.response.decode(message));
    } catch (error) {
      this.#giveUp({ code: 'internal', message: (error as Error).message });
      throw error;
    }
  }

  #giveUp(status: Status): void {
    this.#own ??= status;
    this.#stream.close(constants.NGHTTP2_CANCEL);
    // What nobody reads would hold up the end.
    this.#stream.resume();
  }
}

const DEADLINE: Status = { code: 'deadline_exceeded', message: 'The deadline of the call has passed.' };

/** What the end of a stream means that says nothing (gRPC over HTTP/2, "Errors"). */
function brokenOff(code: number | undefined, lost: string): Status {
  const message = lost === '' ? 'The call was broken off.' : lost;
  if (code === constants.NGHTTP2_CANCEL) return { code: 'cancelled', message };
  if (code === constants.NGHTTP2_ENHANCE_YOUR_CALM) return { code: 'resource_exhausted', message };
  return { code: 'unavailable', message };
}
