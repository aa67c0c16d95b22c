import type { IncomingMessage, ServerResponse } from 'node:http';
import type { TLSSocket } from 'node:tls';
import { ERROR_CODES, type ErrorCode, WritError } from '../../base/error.ts';
import { readBody } from '../../http/body.ts';
import { createConcurrency } from '../../http/concurrency.ts';
import { createRateLimit } from '../../http/rate-limit.ts';
import { openStream, type ReplyStream } from '../../http/stream.ts';
import type { SpiffeId } from '../../spiffe-id/spiffe-id.ts';
import type { PointAcks } from '../../wire/feed.ts';
import { BEHIND_TEXT, CATCH_UP, parseEventId, stateText } from '../../wire/feed-events.ts';
import { MOST_BEHIND, POINT, POINT_BEHIND, PointRegister, pointBehind, pointOf } from '../../wire/feed-points.ts';
import { signedText } from '../../wire/feed-statement.ts';
import type { FeedReader, PassedOn } from '../feed/reader.ts';
import type { Fetch } from '../identity/fetch.ts';
import { PointsReport } from './points.ts';
import { parseAcks, parsePoints, parseTimeQuestion } from './request.ts';
import { RelayTail } from './tail.ts';
import { RelayTime } from './time.ts';

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
 * Serves on the feed that a verifier follows, to programs that do not reach the server: entries, heartbeats, pages and the
 * time as the server signed them. Whoever reads here believes nothing else of it, so it can keep things back, and not for
 * longer than its followers put up with, but neither change nor make up anything.
 */
export class Relay {
  readonly #parts: RelayParts;
  readonly #tail = new RelayTail();
  readonly #streams = new Set<ReplyStream>();
  readonly #streaming = createConcurrency({ perCaller: STREAMS_PER_CALLER, all: MOST_BEHIND });
  readonly #rate = createRateLimit(RATE);
  readonly #points = new PointRegister(MOST_BEHIND);
  readonly #report: PointsReport;
  readonly #time: RelayTime;
  readonly #pages = new Map<string, { readonly at: number; readonly page: Promise<string> }>();
  readonly #timer: NodeJS.Timeout;
  #beaten = 0;
  #over = false;
  readonly #closed: (() => void)[] = [];

  constructor(parts: RelayParts) {
    this.#parts = parts;
    this.#report = new PointsReport({ ...parts, names: () => this.#points.names() });
    this.#time = new RelayTime(parts);
    parts.reader.passOn();
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

  /** Passes on what the reader has just learnt; without it that stands on pages, which everybody reads for himself. */
  take(segment: PassedOn | undefined): void {
    if (segment !== undefined) {
      const text = Buffer.from(this.#tail.add(segment));
      for (const stream of this.#streams) stream.write(text);
      return;
    }
    this.#tail.begin(this.#parts.reader.place.position);
    for (const stream of this.#streams) stream.write(BEHIND_TEXT);
    this.endStreams();
  }

  /** To be called when the reader has joined a stream: the server at its other end knows of nobody behind this point. */
  joined(): void {
    if (this.#streams.size > 0) this.#report.changed();
  }

  /** Says how fresh what is known here is: the latest heartbeat, however long that lies back. */
  beat(): void {
    const { latest } = this.#parts.reader;
    if (latest === undefined || this.#streams.size === 0) return;
    this.#beaten = performance.now();
    const text = Buffer.from(signedText(latest));
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

  /** Ends all streams. Whoever may read here comes back. */
  endStreams(): void {
    for (const stream of this.#streams) stream.end();
  }

  /** Called once, when the relay is closed: by whoever made it, or because its own identity was stopped for ever. */
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
    this.endStreams();
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
      case 'GET /v1/feed/signed-entries':
        sendJson(response, await this.#page(query === '' ? '0' : (/^after=(\d{1,15})$/.exec(query)?.[1] ?? '')));
        return;
      case 'POST /v1/feed/time': {
        const answer = await this.#time.ask(parseTimeQuestion(await readBody(request, RELAY_LIMIT)).nonces);
        if (answer === undefined) throw unavailable('This relay does not reach the server.');
        sendJson(response, answer);
        return;
      }
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
    if (state === undefined || reader.latest === undefined) throw unavailable('This relay has not read the feed yet.');
    if (this.#streaming.enter(caller.uri) !== 'ok') throw tooMany('streams');
    response.writeHead(200, { ...HEADERS, 'Content-Type': 'text/event-stream', Connection: 'close' });
    response.flushHeaders();
    const stream = openStream(response, {
      waiting: WAITING,
      authenticate: () => undefined,
      counted: { among: this.#streaming, as: caller.uri },
    });
    stream.write(stateText('hello', state));
    const missed = place.log === state.log ? this.#tail.after(place.position) : undefined;
    if (missed === undefined || missed.length > CATCH_UP) {
      stream.write(BEHIND_TEXT);
      stream.end();
      return;
    }
    if (missed !== '') stream.write(missed);
    stream.write(signedText(reader.latest));
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
    const answer = await fetch(`${reader.server}/v1/feed/signed-entries?after=${after}`, {
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

/** The name of a point. What is not signed is not served: nobody should believe it. */
function pointIn(query: string): string | undefined {
  const given = new URLSearchParams(query);
  const point = given.get('point') ?? undefined;
  if (given.get('signed') !== '1')
    throw badRequest('?signed', 'A relay serves what the authority has signed: signed=1.');
  if (given.size !== (point === undefined ? 1 : 2)) throw badRequest('?');
  if (point !== undefined && !POINT.test(point)) throw badRequest('?point');
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

function badRequest(field: string, remedy = 'Send what docs/FEED.md says of this route.'): WritError {
  return new WritError('bad_request', 'A value of the request cannot be understood.', { field, remedy });
}

function unavailable(message: string): WritError {
  return new WritError('unavailable', message, { remedy: 'Ask another relay, or try again.' });
}

function tooMany(what: string): WritError {
  return new WritError('rate_limited', `This caller has too many ${what}.`, { remedy: 'Try again later.' });
}
