import {
  type IncomingHttpHeaders,
  performServerHandshake,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { Duplex } from 'node:stream';
import { DEFAULT_GRPC_LIMITS, type GrpcLimits } from './limits.ts';
import { ServerCall } from './server-call.ts';
import type { ServerMethod } from './server-method.ts';
import type { Status } from './status.ts';
import { parseTimeout } from './timeout.ts';

export interface GrpcServerOptions<C> {
  readonly methods: readonly ServerMethod<C>[];
  /**
   * Lets a call in, before anything of it is read; gives what is told when its handler is done, and whether that went well.
   * Rejects with why not. Absent: everybody is let in.
   */
  readonly admit?: (connection: C) => Promise<(ok: boolean) => void>;
  /**
   * Takes a place for a call, before anything of it is read, and gives what gives it back when the call is over, streams
   * included; undefined where there is none left. Absent: there always is.
   */
  readonly room?: (connection: C) => (() => void) | undefined;
  /** What the caller is told of whatever was thrown. Must not throw. */
  readonly failure: (error: unknown, connection: C) => Status;
  readonly limits?: GrpcLimits;
}

/**
 * gRPC over HTTP/2 connections that somebody else has accepted: a TLS listener that agreed on `h2`, a unix socket. Serves
 * the methods of its table and nothing else; who may call them, the methods ask of the connection.
 */
export class GrpcServer<C> {
  readonly #methods: ReadonlyMap<string, ServerMethod<C>>;
  readonly #admit: GrpcServerOptions<C>['admit'];
  readonly #room: GrpcServerOptions<C>['room'];
  readonly #failure: GrpcServerOptions<C>['failure'];
  readonly #limits: GrpcLimits;
  readonly #sessions = new Set<ServerHttp2Session>();
  #draining = false;

  constructor({ methods, admit, room, failure, limits = DEFAULT_GRPC_LIMITS }: GrpcServerOptions<C>) {
    this.#methods = new Map(methods.map((method) => [method.path, method]));
    this.#admit = admit;
    this.#room = room;
    this.#failure = failure;
    this.#limits = limits;
  }

  /** Takes over a connection of which nothing has been read. */
  accept(socket: Duplex, connection: C): void {
    const { streams, metadata, metadataPairs, idleTimeout, sessionMemory } = this.#limits;
    const session = performServerHandshake(socket, {
      settings: { enablePush: false, maxConcurrentStreams: streams, maxHeaderListSize: metadata },
      maxHeaderListPairs: metadataPairs,
      maxSessionMemory: sessionMemory,
    });
    this.#sessions.add(session);
    session.once('close', () => this.#sessions.delete(session));
    // A peer that breaks the protocol or goes away: the session closes, and its calls hear of it.
    session.on('error', () => undefined);
    session.setTimeout(idleTimeout, () => session.destroy());
    session.on('stream', (stream, headers) => void this.#serve(stream, headers, connection));
    if (this.#draining) session.close();
  }

  /** Takes no more calls, waits for those that run, and breaks off what is left after `graceMs`. */
  async close(graceMs: number): Promise<void> {
    this.#draining = true;
    const closed = [...this.#sessions].map((session) => {
      session.close();
      return new Promise<void>((resolve) => session.once('close', resolve));
    });
    const late = setTimeout(() => {
      for (const session of this.#sessions) session.destroy();
    }, graceMs);
    await Promise.all(closed);
    clearTimeout(late);
  }

  async #serve(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, connection: C): Promise<void> {
    // The caller gave up, or broke the protocol: the call is over, and nobody is left to be told.
    stream.on('error', () => undefined);
    const refusal = sizeOf(headers) > this.#limits.metadata ? 431 : httpFault(headers);
    if (refusal !== undefined) {
      stream.respond({ ':status': refusal }, { endStream: true });
      stream.resume();
      return;
    }
    const call = new ServerCall(stream, { metadata: headers, connection, limits: this.#limits });
    const method = this.#methods.get(headers[':path'] ?? '');
    const fault = faultOf(headers, method !== undefined);
    if (fault !== undefined) {
      call.end(fault);
      return;
    }
    const leaveRoom = this.#room?.(connection);
    if (this.#room !== undefined && leaveRoom === undefined) {
      call.end({ code: 'unavailable', message: 'Too many calls are open here. Try again later.' });
      return;
    }
    if (leaveRoom !== undefined) stream.once('close', leaveRoom);
    const timeout = headers['grpc-timeout'];
    if (timeout !== undefined) call.expireAfter(parseTimeout(String(timeout))!, 'The deadline of the call has passed.');
    let leave: ((ok: boolean) => void) | undefined;
    try {
      leave = await this.#admit?.(connection);
      await method!.serve(call);
      leave?.(true);
    } catch (error) {
      leave?.(false);
      // Whatever a handler meets when its caller has gone is no fault of anybody's.
      if (!call.signal.aborted) call.end(this.#failure(error, connection));
    }
  }
}

/** As HTTP/2 counts them (RFC 9113 §6.5.2). What is announced of it, Node does not hold the other side to. */
function sizeOf(headers: IncomingHttpHeaders): number {
  let size = 0;
  for (const [name, value] of Object.entries(headers)) size += 32 + name.length + String(value).length;
  return size;
}

/** The HTTP status for what is no gRPC at all; undefined for what is. */
function httpFault(headers: IncomingHttpHeaders): number | undefined {
  if (headers[':method'] !== 'POST') return 405;
  return /^application\/grpc(?:\+proto)?(?:;|$)/.test(headers['content-type'] ?? '') ? undefined : 415;
}

function faultOf(headers: IncomingHttpHeaders, known: boolean): Status | undefined {
  if (!known) return { code: 'unimplemented', message: 'There is no such method here.' };
  const encoding = headers['grpc-encoding'] ?? 'identity';
  if (encoding !== 'identity') return { code: 'unimplemented', message: 'Messages are taken uncompressed alone.' };
  const timeout = headers['grpc-timeout'];
  if (timeout === undefined || parseTimeout(String(timeout)) !== undefined) return undefined;
  return { code: 'invalid_argument', message: 'The header grpc-timeout is none.' };
}
