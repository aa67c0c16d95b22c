import type { Codec } from './codec.ts';
import { encodeFrame } from './frame.ts';
import type { ServerCall } from './server-call.ts';
import { OK, type Status } from './status.ts';

/** One method as a server serves it. `C`: what is known of a connection. */
export interface ServerMethod<C> {
  /** `/package.Service/Method`. */
  readonly path: string;
  /** Serves one call; what it throws ends the call. */
  serve(call: ServerCall<C>): Promise<void>;
}

interface Shape<Request, Response> {
  readonly path: string;
  readonly request: Codec<Request>;
  readonly response: Codec<Response>;
}

/** What a handler may know of its call. */
export interface CallContext<C> {
  readonly connection: C;
  /** Aborted when nobody waits any more. */
  readonly signal: AbortSignal;
}

/** The answers of a call that has many. */
export interface Answers<C, Response> extends CallContext<C> {
  send(message: Response): void;
  /** Octets that the reader has not taken yet. */
  waiting(): number;
  /** Sends a message that was encoded once for many, in its frame. */
  sendFrame(frame: Uint8Array): void;
  end(status?: Status): void;
}

/** One request, one answer. */
export function unary<C, Request, Response>(
  given: Shape<Request, Response> & {
    handle(request: Request, context: CallContext<C>): Promise<Response> | Response;
  },
): ServerMethod<C> {
  const { path, request, response } = given;
  return {
    path,
    async serve(call) {
      const asked = request.decode(await call.onlyMessage());
      call.write(encodeFrame(response.encode(await given.handle(asked, call))));
      call.end();
    },
  };
}

/** One request, many answers, until the handler ends them: it may return earlier. */
export function serverStream<C, Request, Response>(
  given: Shape<Request, Response> & {
    handle(request: Request, answers: Answers<C, Response>): Promise<void> | void;
  },
): ServerMethod<C> {
  const { path, request, response } = given;
  return {
    path,
    async serve(call) {
      const asked = request.decode(await call.onlyMessage());
      await given.handle(asked, answersOf(call, response));
    },
  };
}

/** Many requests and many answers, each when it likes. The call ends when the handler does. */
export function bidirectional<C, Request, Response>(
  given: Shape<Request, Response> & {
    handle(requests: AsyncIterable<Request>, answers: Answers<C, Response>): Promise<void>;
  },
): ServerMethod<C> {
  const { path, request, response } = given;
  return {
    path,
    async serve(call) {
      await given.handle(decoded(call.messages(), request), answersOf(call, response));
      call.end();
    },
  };
}

async function* decoded<T>(messages: AsyncIterable<Uint8Array>, codec: Codec<T>): AsyncGenerator<T, void> {
  for await (const message of messages) yield codec.decode(message);
}

function answersOf<C, Response>(call: ServerCall<C>, codec: Codec<Response>): Answers<C, Response> {
  return {
    connection: call.connection,
    signal: call.signal,
    waiting: () => call.waiting,
    send: (message) => call.write(encodeFrame(codec.encode(message))),
    sendFrame: (frame) => call.write(frame),
    end: (status = OK) => call.end(status),
  };
}
