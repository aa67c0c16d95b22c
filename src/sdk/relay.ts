import type { IncomingMessage, ServerResponse } from 'node:http';
import type { TLSSocket } from 'node:tls';
import { ERROR_CODES, type ErrorCode, WritError } from '../base/error.ts';
import { readBody } from '../http/body.ts';
import { createConcurrency } from '../http/concurrency.ts';
import { createRateLimit } from '../http/rate-limit.ts';
import { openStream, type ReplyStream } from '../http/stream.ts';
import type { SpiffeId } from '../spiffe-id/spiffe-id.ts';
import type { FeedEntry, FeedState, PointAcks } from '../wire/feed.ts';
import { BEHIND_TEXT, CATCH_UP, entriesText, entryAt, parseEventId, stateText } from '../wire/feed-events.ts';
import { MOST_BEHIND, POINT, POINT_BEHIND, PointRegister, pointBehind, pointOf } from '../wire/feed-points.ts';
import type { FeedReader } from './feed-reader.ts';
import type { Fetch } from './fetch.ts';
import { PointsReport } from './relay-points.ts';
import { parseAcks, parsePoints } from './relay-request.ts';
import { RelayTail } from './relay-tail.ts';

export interface RelayParts {
  readonly reader: FeedReader;
  /** Asks whoever the reader reads from. */
  readonly fetch: Fetch;
  /** Name under which the reader reads. */
  readonly point: string;
  /** Who is at the other end, where it may read here; undefined where it may not. */
  readonly caller: (socket: TLSSocket) => SpiffeId | undefined;
  /** What a point behind this one has done. */
  readonly acknowledged: (done: PointAcks) => void;
}

/** Octets that may wait for a slow follower. */
const WAITING = 256 * 1024;
const STREAMS_PER_CALLER = 64;
const BEAT_MS = 1000;
const RATE = { perSecond: 100, burst: 400, callers: 4096 };
/** Octets of what a relay says of the points behind it. */
const RELAY_LIMIT = 256 * 1024;
/** How long a page is given to others who ask for the same. */
const PAGE_MS = 500;
const PAGES = 32;
const TIMEOUT_MS = 10_000;

/** What each code that is thrown here is over HTTP. */
const STATUS: { readonly [C in ErrorCode]?: number } = {
  bad_request: 400,
  denied: 403,
  revoked: 403,
  not_found: 404,
  too_large: 413,
  unsupported_media_type: 415,
  rate_limited: 429,
};

/**
 * Serves on the feed that a verifier follows, to programs that do not reach the server: the same routes, of which the
 * stream and what is in memory is the relay's, the pages are the server's. It makes nothing fresher than it is: what it
 * says of time is the server's own word and how long that lies back.
 */
export class Relay {
  readonly #parts: RelayParts;
  readonly #tail = new RelayTail();
  readonly #streams = new Set<ReplyStream>();
  readonly #streaming = createConcurrency({ perCaller: STREAMS_PER_CALLER, all: MOST_BEHIND });
  readonly #rate = createRateLimit(RATE);
  readonly #points = new PointRegister(MOST_BEHIND);
  readonly #report: PointsReport;
  readonly #pages = new Map<string, { readonly at: number; readonly page: Promise<string> }>();
  readonly #timer: NodeJS.Timeout;
  #beaten = 0;
  #over = false;
  readonly #closed: (() => void)[] = [];

  constructor(parts: RelayParts) {
    this.#parts = parts;
    this.#report = new PointsReport({ ...parts, names: () => this.#points.names() });
    if (parts.reader.place.log > 0) this.#tail.begin(parts.reader.place.position);
    this.#timer = setInterval(() => {
      if (performance.now() - this.#beaten >= BEAT_MS) this.beat();
    }, BEAT_MS / 4);
    this.#timer.unref();
  }

  /** Programs that read from here now. */
  get followers(): number {
    return this.#streams.size;
  }

  /** Passes on what the reader has just learnt. `anew`: in place of all that was known. */
  take(entries: readonly FeedEntry[], anew: boolean): void {
    if (anew) {
      this.#tail.begin(this.#parts.reader.place.position);
      // What a follower knows may be of another log or of before a gap: it has to ask.
      for (const stream of this.#streams) {
        stream.write(BEHIND_TEXT);
        stream.end();
      }
      return;
    }
    if (entries.length === 0) return;
    this.#tail.add(entries);
    const text = Buffer.from(entriesText(this.#parts.reader.place.log, entries));
    for (const stream of this.#streams) stream.write(text);
  }

  /** To be called when the reader has joined a stream: the server at its other end knows of nobody behind this point. */
  joined(): void {
    if (this.#streams.size > 0) this.#report.changed();
  }

  /** Says how fresh what is known here is. */
  beat(): void {
    const state = this.#parts.reader.state();
    if (state === undefined || this.#streams.size === 0) return;
    this.#beaten = performance.now();
    const text = Buffer.from(stateText('heartbeat', state));
    for (const stream of this.#streams) stream.write(text);
  }

  /** Answers a request of the server that is given to this relay. Never rejects. */
  async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      await this.#answer(request, response);
    } catch (error) {
      if (response.headersSent) response.destroy();
      else refuse(response, error instanceof WritError ? error : new WritError('unavailable', 'The relay failed.'));
    }
  }

  /** Called once, when the relay is closed: by whoever made it, or because its own identity was stopped. */
  onClose(listener: () => void): void {
    if (this.#over) listener();
    else this.#closed.push(listener);
  }

  /** Ends all streams and refuses whatever is asked from now on. The server stays. */
  close(): void {
    if (this.#over) return;
    this.#over = true;
    clearInterval(this.#timer);
    this.#report.close();
    for (const stream of this.#streams) stream.end();
    for (const listener of this.#closed.splice(0)) listener();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (this.#over) throw unavailable('This relay has ended.');
    const caller = this.#parts.caller(request.socket as TLSSocket);
    if (caller === undefined) throw new WritError('denied', 'The caller may not read the feed here.');
    if (this.#rate.take(caller.uri, performance.now()) > 0) throw tooMany('requests');
    const [path, query = ''] = (request.url ?? '').split('?') as [string, string?];
    switch (`${request.method} ${path}`) {
      case 'GET /v1/feed':
        this.#follow(request, response, { caller, point: pointIn(query) });
        return;
      case 'GET /v1/feed/entries':
        sendJson(response, await this.#page(query === '' ? '0' : (/^after=(\d{1,15})$/.exec(query)?.[1] ?? '')));
        return;
      case 'POST /v1/feed/acks':
        this.#acknowledge(caller, await readBody(request, RELAY_LIMIT));
        sendJson(response, '{}');
        return;
      case 'POST /v1/feed/points':
        this.#setBehind(caller, await readBody(request, RELAY_LIMIT));
        sendJson(response, '{}');
        return;
      default:
        throw new WritError('not_found', 'A relay serves the feed and nothing else.');
    }
  }

  #follow(
    request: IncomingMessage,
    response: ServerResponse,
    { caller, point }: { readonly caller: SpiffeId; readonly point: string | undefined },
  ): void {
    const { reader } = this.#parts;
    const id = request.headers['last-event-id'];
    const place = id === undefined ? reader.place : parseEventId(String(id));
    if (place === undefined) throw badRequest('Last-Event-ID');
    const state = reader.state();
    if (state === undefined) throw unavailable('This relay has not read the feed yet.');
    if (this.#streaming.enter(caller.uri) !== 'ok') throw tooMany('streams');
    response.writeHead(200, { ...HEADERS, 'Content-Type': 'text/event-stream', Connection: 'close' });
    response.flushHeaders();
    const stream = openStream(response, {
      waiting: WAITING,
      authenticate: () => undefined,
      counted: { among: this.#streaming, as: caller.uri },
    });
    this.#begin(stream, state, place.log === state.log ? this.#tail.after(place.position) : undefined);
    this.#streams.add(stream);
    const key = point === undefined ? undefined : pointOf(caller.uri, point);
    if (key !== undefined) {
      this.#points.enter(key);
      this.#report.changed();
    }
    stream.onEnd(() => {
      this.#streams.delete(stream);
      if (key === undefined) return;
      this.#points.leave(key);
      this.#report.changed();
    });
  }

  #begin(stream: ReplyStream, state: FeedState, missed: readonly FeedEntry[] | undefined): void {
    stream.write(stateText('hello', state));
    const told = missed?.map((entry) => entryAt(entry, state.time));
    const text = told === undefined ? undefined : entriesText(state.log, told);
    if (text === undefined || text.length > CATCH_UP) {
      stream.write(BEHIND_TEXT);
      stream.end();
      return;
    }
    if (text !== '') stream.write(text);
    stream.write(stateText('heartbeat', state));
  }

  /** The server's own page, asked for once for all who want it. */
  #page(after: string): Promise<string> {
    if (after === '') throw badRequest('?after');
    const now = performance.now();
    const known = this.#pages.get(after);
    if (known !== undefined && now - known.at < PAGE_MS) return known.page;
    this.#pages.delete(after);
    if (this.#pages.size >= PAGES) this.#pages.delete(this.#pages.keys().next().value!);
    const page = this.#fetchPage(after);
    this.#pages.set(after, { at: now, page });
    page.catch(() => this.#pages.delete(after));
    return page;
  }

  async #fetchPage(after: string): Promise<string> {
    const { fetch, reader } = this.#parts;
    const answer = await fetch(`${reader.server}/v1/feed/entries?after=${after}`, {
      signal: AbortSignal.timeout(TIMEOUT_MS),
    }).catch(() => undefined);
    if (answer?.ok !== true) throw unavailable('This relay does not reach the server.');
    return answer.text();
  }

  #acknowledge(caller: SpiffeId, body: Uint8Array): void {
    const { point, log, acks, behind = [] } = parseAcks(body);
    if (log !== this.#parts.reader.place.log) return;
    const key = pointOf(caller.uri, point);
    const tell = (name: string, done: PointAcks['acks']): void => {
      if (done.length > 0 && POINT_BEHIND.test(name)) this.#parts.acknowledged({ point: name, acks: done });
    };
    tell(key, acks);
    for (const one of behind) tell(pointBehind(key, one.point), one.acks);
  }

  #setBehind(caller: SpiffeId, body: Uint8Array): void {
    const { point, behind } = parsePoints(body);
    if (this.#points.setBehind(pointOf(caller.uri, point), behind)) this.#report.changed();
  }
}

const HEADERS = { 'Cache-Control': 'no-store', 'X-Content-Type-Options': 'nosniff' };

function pointIn(query: string): string | undefined {
  if (query === '') return undefined;
  const given = new URLSearchParams(query);
  const point = given.get('point');
  if (point === null || given.size !== 1 || !POINT.test(point)) throw badRequest('?point');
  return point;
}

function sendJson(response: ServerResponse, body: string): void {
  response.writeHead(200, { ...HEADERS, 'Content-Type': 'application/json' });
  response.end(body);
}

/** As a problem document, like the server's. */
function refuse(response: ServerResponse, { code, message, field, remedy }: WritError): void {
  const status = STATUS[code] ?? 503;
  response.writeHead(status, {
    ...HEADERS,
    'Content-Type': 'application/problem+json',
    // What is left of a body is not read.
    Connection: 'close',
    ...(status === 429 ? { 'Retry-After': '1' } : {}),
  });
  const type = `urn:writ:error:${code}`;
  response.end(JSON.stringify({ type, title: ERROR_CODES[code], status, code, detail: message, field, remedy }));
}

function badRequest(field: string): WritError {
  return new WritError('bad_request', 'A value of the request cannot be understood.', { field });
}

function unavailable(message: string): WritError {
  return new WritError('unavailable', message, { remedy: 'Ask another relay, or try again.' });
}

function tooMany(what: string): WritError {
  return new WritError('rate_limited', `This caller has too many ${what}.`, { remedy: 'Try again later.' });
}
