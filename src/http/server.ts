import { randomBytes } from 'node:crypto';
import { createServer as createHttpServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createHttpsServer, type Server as HttpsServer } from 'node:https';
import { type AddressInfo, Server as NetServer, type Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { Caller } from '../base/access.ts';
import type { Clock } from '../base/clock.ts';
import { WritError } from '../base/error.ts';
import { hasBody, readBody } from './body.ts';
import { authenticate, type Identify, type Identity, identityOf, type Standing, Superseded } from './client-cert.ts';
import { clientFault, endWithReply } from './client-error.ts';
import { type Concurrency, createConcurrency } from './concurrency.ts';
import type { Door, OtherProtocol } from './door.ts';
import { DEFAULT_LIMITS, type Limits } from './limits.ts';
import { nextTurn } from './next-turn.ts';
import { addressGroup, createRateLimit, type RateLimit } from './rate-limit.ts';
import { cannotListen, MethodNotAllowed, notFound, TargetTooLong, TooMany, unavailable } from './refusals.ts';
import { sendReply } from './reply.ts';
import { DEFAULT_BODY_LIMIT, type Reply, type Route } from './route.ts';
import { createRouter, type Router } from './router.ts';
import { openStream, type ReplyStream } from './stream.ts';
import { secureContext, type TlsIdentity, tlsServerOptions } from './tls.ts';

interface Clients {
  readonly identify: Identify;
  readonly standing: Standing;
  /** As long as this stays, so does everybody's standing: the epoch. Absent: it may change at any time. */
  readonly standingAsOf?: () => number;
  /** Whether a caller is a node, which lets workloads in. Absent: nobody is. */
  readonly isNode?: (caller: Caller) => boolean | Promise<boolean>;
}

export interface ServerOptions {
  readonly routes: readonly Route[];
  /** Absent: plain HTTP. */
  readonly tls?: TlsIdentity;
  /** Absent: clients are not asked for a certificate, and routes for callers refuse everybody. */
  readonly clients?: Clients;
  /** Spoken by clients that offer nothing else in the handshake. Needs `tls` and `clients`. */
  readonly other?: OtherProtocol;
  readonly limits?: Limits;
  readonly clock: Clock;
  /** Turns whatever was thrown into an answer. Must not throw. `status` overrides the one that the code stands for. */
  readonly problem: (error: unknown, requestId: string, status?: number) => Reply;
  /** Told of each answer: the route (undefined where none was found), status, milliseconds from headers to answer. */
  readonly observe?: (route: Route | undefined, status: number, milliseconds: number) => void;
}

/** How long after a stop a request may still come over a connection that looked idle: it may be on its way already. */
const LINGER_MS = 300;
/** A body within this time has the certificate's validity looked at once. */
const PROMPT_MS = 1000;

const ANONYMOUS: Caller = { kind: 'anonymous', id: 'anonymous' };

/** What is known of one connection. Identity is verified once, at its first request. */
interface Connection {
  readonly identity: Identity;
  /** By whom requests are counted: the caller where the certificate names one, else the address. */
  countedAs: string;
  readonly rate: RateLimit;
  /** Of requests that may change something; operators have none. */
  readonly writes: RateLimit | undefined;
  readonly work: Concurrency;
  inWork: number;
  /** True while a body is being read, so that a timeout can still be answered. */
  reading: boolean;
}

/**
 * One listener: a bare `node:http` or `node:https` server before a table of routes. It owns its socket, its limits and
 * what it knows of connections; it makes no decision about who may do what.
 */
export class HttpServer {
  readonly #options: ServerOptions;
  readonly #limits: Limits;
  readonly #server: Server | HttpsServer;
  readonly #route: Router;
  readonly #callers: RateLimit;
  readonly #addresses: RateLimit;
  readonly #writes: RateLimit;
  readonly #nodes: RateLimit;
  readonly #work: Concurrency;
  /** Of their own, so that strangers who dawdle take no room from callers. */
  readonly #strangersWork: Concurrency;
  /** Of answers that go on. */
  readonly #streaming: Concurrency;
  readonly #streams = new Set<{ end(): void }>();
  readonly #connections = new WeakMap<object, Connection>();
  /** How many of them come from each address. */
  readonly #perAddress = new Map<string, number>();
  readonly #idPrefix = `${randomBytes(5).toString('hex')}-`;
  #requests = 0;
  #draining = false;

  constructor(options: ServerOptions) {
    const limits = options.limits ?? DEFAULT_LIMITS;
    this.#options = options;
    this.#limits = limits;
    this.#route = createRouter(options.routes);
    this.#callers = createRateLimit({ ...limits.caller, callers: limits.remembered });
    this.#addresses = createRateLimit({ ...limits.address, callers: limits.remembered });
    this.#writes = createRateLimit({ ...limits.writes, callers: limits.remembered });
    this.#nodes = createRateLimit({ ...limits.nodes, callers: limits.remembered });
    this.#work = createConcurrency({ perCaller: limits.inWorkPerCaller, all: limits.inWork });
    this.#strangersWork = createConcurrency({ perCaller: limits.inWorkPerCaller, all: limits.inWorkStrangers });
    this.#streaming = createConcurrency({ perCaller: limits.streamsPerCaller, all: limits.streams });
    const http = {
      maxHeaderSize: limits.headers,
      headersTimeout: limits.headersTimeout,
      requestTimeout: limits.requestTimeout,
      keepAliveTimeout: limits.idleTimeout,
      connectionsCheckingInterval: limits.checkInterval,
    };
    this.#server =
      options.tls === undefined
        ? createHttpServer(http)
        : createHttpsServer({
            ...http,
            ...tlsServerOptions(options.tls, options.clients !== undefined),
            // In the server's order: whoever offers both stays with HTTP/1.1.
            ...(options.other === undefined ? {} : { ALPNProtocols: ['http/1.1', options.other.alpn] }),
          });
    if (options.other !== undefined) this.#divert(options.other);
    this.#server.maxConnections = limits.connections;
    this.#server.setTimeout(limits.stallTimeout);
    this.#server.on('connection', (socket: Socket) => this.#countAddress(socket));
    this.#server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      void this.#serve(request, response);
    });
    this.#server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => this.#refuse(error, socket));
  }

  /**
   * Listens; gives the address taken (port 0 takes a free one). `reusePort` lets the servers of several threads share
   * it. Throws `bad_config` when the address cannot be had.
   */
  listen(at: { readonly host: string; readonly port: number; readonly reusePort?: boolean }): Promise<AddressInfo> {
    return new Promise((resolve, reject) => {
      const fail = (cause: NodeJS.ErrnoException): void => reject(cannotListen(at.host, at.port, cause));
      this.#server.once('error', fail);
      this.#server.listen({ host: at.host, port: at.port, reusePort: at.reusePort === true }, () => {
        this.#server.off('error', fail);
        resolve(this.#server.address() as AddressInfo);
      });
    });
  }

  /** From now on new connections see this identity. Established ones live on. */
  setIdentity(identity: TlsIdentity): void {
    if ('setSecureContext' in this.#server) this.#server.setSecureContext(secureContext(identity));
  }

  /** Requests in work. */
  inWork(): number {
    return this.#work.count() + this.#strangersWork.count();
  }

  /** Open connections. */
  connections(): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.getConnections((error, count) => (error === null ? resolve(count) : reject(error)));
    });
  }

  /**
   * Takes no more connections, answers what has begun and what still comes over connections that are open, each of which
   * ends with its answer, and closes what is left after `graceMs`.
   */
  async close(graceMs: number): Promise<void> {
    this.#draining = true;
    for (const stream of this.#streams) stream.end();
    const server = this.#server;
    // Not the HTTP server's own: that cuts connections off whose next request is on its way.
    const closed = new Promise<void>((resolve) => NetServer.prototype.close.call(server, () => resolve()));
    const other = this.#options.other?.close(graceMs);
    const idle = setTimeout(() => server.close(() => undefined), Math.min(LINGER_MS, graceMs));
    const late = setTimeout(() => server.closeAllConnections(), graceMs);
    await closed;
    await other;
    clearTimeout(idle);
    clearTimeout(late);
    server.close(() => undefined);
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const started = performance.now();
    const id = this.#nextId();
    const connection = this.#connectionOf(request.socket);
    connection.inWork += 1;
    let route: Route | undefined;
    let reply: Reply;
    let entered: string | undefined;
    try {
      entered = this.#admit(connection, started);
      const target = request.url ?? '';
      if (target.length > this.#limits.target) throw new TargetTooLong();
      const mark = target.indexOf('?');
      const match = this.#route(mark === -1 ? target : target.slice(0, mark));
      if (match === undefined) throw notFound();
      const method = request.method === 'HEAD' ? 'GET' : request.method!;
      route = match.resource.methods.get(method);
      if (route === undefined) throw new MethodNotAllowed(match.resource.allow);
      let caller = ANONYMOUS;
      const asOf = this.#options.clients?.standingAsOf;
      let under = asOf?.();
      let ofNode = false;
      if (route.access === 'caller') {
        caller = await this.#authenticate(connection, route, request);
        if (caller.superseded === true) {
          // Counted apart from its holder: whoever stole the certificate takes nothing from who replaced it.
          connection.work.leave(entered);
          entered = undefined;
          connection.countedAs = `${caller.id} superseded`;
          entered = this.#enter(connection);
        }
        if (route.method !== 'GET' && route.recordsNothing !== true) {
          ofNode = route.byNodes === true && ((await this.#options.clients?.isNode?.(caller)) ?? false);
          this.#admitWrite(connection, ofNode, started);
        }
      }
      const body = await this.#body(request, route, connection);
      await nextTurn();
      // A body takes as long as its sender likes: who was good when it began may have been stopped or expired by now.
      const prompt = asOf !== undefined && asOf() === under && performance.now() - started < PROMPT_MS;
      if (route.access === 'caller' && route.method !== 'GET') {
        if (!prompt) {
          under = asOf?.();
          caller = await this.#authenticate(connection, route, request);
        }
        if (under !== undefined && caller.superseded === undefined) caller = { ...caller, asOf: under };
      }
      const { params } = match;
      const query = mark === -1 ? '' : target.slice(mark + 1);
      const charge = (further: number): void =>
        (ofNode ? this.#nodes : connection.writes)?.charge(connection.countedAs, started, further);
      const { headers } = request;
      const answer = route.handle({ id, method, target, query, params, headers, body, caller, charge });
      reply = answer instanceof Promise ? await answer : answer;
      if (reply.stream !== undefined && request.method === 'GET') this.#enterStream(connection);
    } catch (error) {
      reply = this.#problem(error, id);
    }
    if (entered !== undefined) connection.work.leave(entered);
    connection.inWork -= 1;
    const stream = request.method === 'GET' ? reply.stream : undefined;
    if (response.destroyed) {
      if (stream !== undefined) this.#streaming.leave(connection.countedAs);
      return;
    }
    const close = this.#draining || stream !== undefined || leavesMuchUnread(request);
    sendReply(request, response, reply, { id, close });
    if (stream !== undefined) this.#stream(response, connection, stream);
    this.#options.observe?.(route, reply.status, performance.now() - started);
  }

  /** Hands connections that agreed on another protocol to it, before HTTP has seen them. */
  #divert(other: OtherProtocol): void {
    const http = this.#server.listeners('secureConnection') as ((socket: TLSSocket) => void)[];
    this.#server.removeAllListeners('secureConnection');
    this.#server.on('secureConnection', (socket: TLSSocket) => {
      if (socket.alpnProtocol === other.alpn) other.accept(socket, this.#door(socket));
      else for (const listener of http) listener.call(this.#server, socket);
    });
  }

  #door(socket: TLSSocket): Door {
    const connection = this.#connectionOf(socket);
    const { clock, observe } = this.#options;
    const authenticateNow = () => authenticate(connection.identity, clock.now(), this.#standing);
    return {
      enter: async () => {
        const started = performance.now();
        const entered = this.#admit(connection, started);
        const leave = (status: number): void => {
          connection.work.leave(entered);
          observe?.(undefined, status, performance.now() - started);
        };
        try {
          await authenticateNow();
          return leave;
        } catch (error) {
          leave(401);
          throw error;
        }
      },
      authenticate: authenticateNow,
      stream: (end) => {
        this.#enterStream(connection);
        const stream = { end };
        this.#streams.add(stream);
        return () => {
          if (this.#streams.delete(stream)) this.#streaming.leave(connection.countedAs);
        };
      },
      problem: (error) => this.#problem(error, this.#nextId()),
    };
  }

  #enterStream({ countedAs }: Connection): void {
    const room = this.#streaming.enter(countedAs);
    if (room === 'caller') throw new TooMany('This caller has too many streams open.', 1000);
    if (room === 'all' || this.#draining) {
      if (room === 'ok') this.#streaming.leave(countedAs);
      throw unavailable('Too many streams are open here, or the server is stopping.');
    }
  }

  /** Hands an answer that goes on to whoever writes it, for as long as the caller is good and the server runs. */
  #stream(response: ServerResponse, connection: Connection, begin: (stream: ReplyStream) => void): void {
    const stream = openStream(response, {
      waiting: this.#limits.streamWaiting,
      authenticate: () => authenticate(connection.identity, this.#options.clock.now(), this.#standing),
      counted: { among: this.#streaming, as: connection.countedAs },
    });
    this.#streams.add(stream);
    stream.onEnd(() => this.#streams.delete(stream));
    begin(stream);
  }

  /** Who calls, as of now. Throws why nobody does. */
  #authenticate(connection: Connection, route: Route, { headers }: IncomingMessage): Caller | Promise<Caller> {
    if (route.repeats === true && headers['idempotency-key'] !== undefined) return this.#authenticateRepeat(connection);
    return authenticate(connection.identity, this.#options.clock.now(), this.#standing);
  }

  /** The same of a request that may be the repeat of one which superseded the certificate that it is made with. */
  async #authenticateRepeat({ identity }: Connection): Promise<Caller> {
    try {
      return await authenticate(identity, this.#options.clock.now(), this.#standing);
    } catch (error) {
      if (!(error instanceof Superseded) || identity === 'none' || identity instanceof WritError) throw error;
      return { ...identity.caller, superseded: true };
    }
  }

  readonly #standing: Standing = (caller) =>
    this.#options.clients === undefined
      ? unavailable('no client is known here')
      : this.#options.clients.standing(caller);

  #connectionOf(socket: Socket): Connection {
    const known = this.#connections.get(socket);
    if (known !== undefined) return known;
    const { clients } = this.#options;
    const identity = clients === undefined ? 'none' : identityOf(socket as TLSSocket, clients.identify);
    const named = identity !== 'none' && !(identity instanceof WritError);
    const connection: Connection = {
      identity,
      countedAs: named ? identity.caller.id : addressGroup(socket.remoteAddress ?? ''),
      rate: named ? this.#callers : this.#addresses,
      writes: named && identity.caller.instance !== undefined ? this.#writes : undefined,
      work: named ? this.#work : this.#strangersWork,
      inWork: 0,
      reading: false,
    };
    this.#connections.set(socket, connection);
    return connection;
  }

  /** Ends at once what one address has too many of: nobody takes all connections, or the memory for them. */
  #countAddress(socket: Socket): void {
    const address = addressGroup(socket.remoteAddress ?? '');
    const held = this.#perAddress.get(address) ?? 0;
    if (held >= this.#limits.connectionsPerAddress) {
      socket.destroy();
      return;
    }
    this.#perAddress.set(address, held + 1);
    socket.once('close', () => {
      const left = (this.#perAddress.get(address) ?? 1) - 1;
      if (left > 0) this.#perAddress.set(address, left);
      else this.#perAddress.delete(address);
    });
  }

  /** Counts a request in, and gives as whose; or throws why not. */
  #admit(connection: Connection, now: number): string {
    const wait = connection.rate.take(connection.countedAs, now);
    if (wait > 0) throw new TooMany('Too many requests from this caller.', wait);
    return this.#enter(connection);
  }

  #enter({ work, countedAs }: Connection): string {
    const room = work.enter(countedAs);
    if (room === 'caller') throw new TooMany('Too many requests from this caller are in work at once.', 1000);
    if (room === 'all') throw unavailable('Too many requests are in work at once.');
    return countedAs;
  }

  /** Counts in a request that may change something, or throws that its caller is to wait. */
  #admitWrite({ writes, countedAs }: Connection, ofNode: boolean, now: number): void {
    const wait = (ofNode ? this.#nodes : writes)?.take(countedAs, now) ?? 0;
    if (wait > 0) throw new TooMany('Too many requests of this agent or service that may change something.', wait);
  }

  async #body(request: IncomingMessage, route: Route, connection: Connection): Promise<Uint8Array> {
    if (route.method === 'GET') {
      if (!hasBody(request)) return NO_BODY;
      throw new WritError('bad_request', `A ${request.method} takes no body.`, { remedy: 'Send none.' });
    }
    connection.reading = true;
    try {
      return await readBody(request, route.bodyLimit ?? DEFAULT_BODY_LIMIT);
    } finally {
      connection.reading = false;
    }
  }

  #problem(error: unknown, id: string): Reply {
    const reply = this.#options.problem(error, id, error instanceof TargetTooLong ? 414 : undefined);
    if (error instanceof MethodNotAllowed) return { ...reply, headers: ['Allow', error.allow] };
    if (error instanceof TooMany) return { ...reply, headers: ['Retry-After', `${Math.ceil(error.wait / 1000)}`] };
    return reply;
  }

  /** Answers what HTTP itself refuses. Where an answer is under way, nothing can be put between: it just ends. */
  #refuse(cause: NodeJS.ErrnoException, socket: Socket): void {
    const connection = this.#connections.get(socket);
    const underWay = (connection?.inWork ?? 0) > (connection?.reading === true ? 1 : 0);
    if (cause.code === 'ECONNRESET' || !socket.writable || underWay) {
      socket.destroy();
      return;
    }
    const { error, status } = clientFault(cause);
    const id = this.#nextId();
    endWithReply(socket, this.#options.problem(error, id, status), id);
    this.#options.observe?.(undefined, status, 0);
  }

  /** Unique to this server and run; says nothing about the request. */
  #nextId(): string {
    this.#requests += 1;
    return this.#idPrefix + this.#requests.toString(36);
  }
}

const NO_BODY = new Uint8Array(0);

/** Node reads and drops what a handler left of a body, to use the connection again. Past this it is not worth it. */
function leavesMuchUnread(request: IncomingMessage): boolean {
  if (request.complete || !hasBody(request)) return false;
  const length = request.headers['content-length'];
  return length === undefined || Number(length) > DEFAULT_BODY_LIMIT;
}
