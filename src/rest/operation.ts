import { createHash } from 'node:crypto';
import type { Action, Caller } from '../base/access.ts';
import type { Clock } from '../base/clock.ts';
import { WritError } from '../base/error.ts';
import { type AnswerReader, type Idempotency, idempotencyOf, parseIdempotencyKey } from '../http/idempotency.ts';
import { DEFAULT_BODY_LIMIT, type Exchange, type Method, type Reply, type Route } from '../http/route.ts';
import { parseJsonObject } from '../wire/json.ts';
import { parse, type Schema } from '../wire/schema.ts';
import { type AskApproval, type Binding, bindingOf, type OfferAccess } from './bound-request.ts';

/** What a handler gets: everything parsed, the caller authenticated, nothing authorised yet. */
interface Input<P, Q, B> {
  readonly caller: Caller;
  readonly params: P;
  readonly query: Q;
  readonly body: B;
  /** There when the request carries a key. */
  readonly idempotency: Idempotency | undefined;
  /** Counts so many further acts of the caller. */
  charge(acts: number): void;
}

/** How one request wants its change made: what a door hands to a flow beside the request itself. */
export interface WriteOptions {
  readonly idempotency?: Idempotency | undefined;
}

/**
 * One operation of the interface: the route, its documentation and its handler in one value, from which the server's
 * table and the OpenAPI document are made.
 */
export interface Operation<P = unknown, Q = unknown, B = unknown, A = unknown> {
  /** Name in the OpenAPI document, e.g. `registerAgent`. */
  readonly id: string;
  readonly method: Method;
  readonly path: string;
  readonly access: 'public' | 'caller';
  /** What policy is asked about, where it is. */
  readonly action?: Action;
  /** As of a route. */
  readonly repeats?: boolean;
  readonly byNodes?: boolean;
  /** Each request makes another of its kind, a repeat as well: an idempotency key says nothing here, and is not read. */
  readonly anew?: true;
  readonly summary: string;
  /** Parameters of the path by the names in its template. */
  readonly params?: Schema<P>;
  readonly query?: Schema<Q>;
  readonly body?: Schema<B>;
  readonly bodyLimit?: number;
  /** Media type of a body that is no JSON; the handler gets it as a `RawBody`. */
  readonly rawBody?: string;
  /** Whether a body holds a secret: then it can be asked for by no approval, which shows and keeps all of a request. */
  readonly holdsSecret?: (body: NoInfer<B>) => boolean;
  /** Whose idempotency key it is where there is no caller yet; absent: the caller's. */
  readonly keyOwner?: (body: B) => string;
  readonly status?: 200 | 201 | 202 | 204;
  /** Where the status depends on the answer. */
  readonly statusOf?: (answer: A) => number;
  /** Shape of the answer; absent where `raw` says what it is. */
  readonly answer?: Schema<A>;
  /** An answer that is not JSON: its media type. The handler then gives a `Reply`. */
  readonly raw?: string;
  /** `Cache-Control` of the answer, which then carries an entity tag. Absent: `no-store`. */
  readonly cache?: string;
  readonly example?: { readonly body?: B; readonly answer?: A };
  handle(input: Input<P, Q, B>): Promise<A | Reply> | A | Reply;
}

/** Checks an operation's parts against one another, then forgets their types, so that many fit in one table. */
export function operation<P = Nothing, Q = Nothing, B = Nothing, A = Nothing>(given: Operation<P, Q, B, A>): Operation {
  return given as unknown as Operation;
}

/** A body as it came, for what has a syntax of its own, with the header that such senders authenticate by. */
export interface RawBody {
  /** One character an octet. */
  readonly text: string;
  /** Value of the Authorization header; empty where there is none. */
  readonly authorization: string;
}

/** The type of a part that an operation does not have. */
export type Nothing = Readonly<Record<never, never>>;

export interface OperationParts {
  readonly answers: AnswerReader;
  readonly clock: Clock;
  /**
   * Called before each operation about which policy is asked: brings what is decided on (policy set, authorities) up to
   * what is committed. Waits for nothing while the epoch stays.
   */
  readonly refresh: () => Promise<void>;
  /** Absent: nothing can be asked for. */
  readonly askApproval?: AskApproval;
  /** Absent: refusals are Writ's own alone. */
  readonly offerAccess?: OfferAccess;
}

/** Makes the route that parses, calls the handler and writes the answer. */
export function routeOf(given: Operation, parts: OperationParts): Route {
  const { method, path, access, bodyLimit } = given;
  const names = [...path.matchAll(/\{(\w+)(?:\.\.\.)?\}/g)].map((match) => match[1]!);
  const writes = method !== 'GET';
  return {
    method,
    path,
    access,
    ...(given.repeats === undefined ? {} : { repeats: given.repeats }),
    ...(given.byNodes === undefined ? {} : { byNodes: given.byNodes }),
    ...(writes ? { bodyLimit: bodyLimit ?? DEFAULT_BODY_LIMIT } : {}),
    async handle(exchange) {
      const params = given.params === undefined ? NOTHING : parse(given.params, named(names, exchange.params), 'path');
      const query =
        given.query === undefined ? noQuery(exchange.query) : parse(given.query, parseQuery(exchange.query), 'query');
      const body = writes ? parseBody(given, exchange) : NOTHING;
      const idempotency = writes ? keyOf(given, exchange, body, parts) : undefined;
      const secret = given.holdsSecret?.(body) === true;
      // What is no JSON has no parameters that anybody could judge.
      const binding =
        writes && given.rawBody === undefined
          ? bindingOf(
              exchange,
              { method, path, params, query, body },
              {
                repeated: async () => (await idempotency?.first()) !== undefined,
                ask: parts.askApproval,
                offer: secret ? undefined : parts.offerAccess,
              },
            )
          : undefined;
      if (binding !== undefined && secret) throw secretAndApproval();
      const caller = binding === undefined ? exchange.caller : { ...exchange.caller, bound: binding.bound };
      const charge = (acts: number): void => exchange.charge?.(acts);
      const input = { caller, params, query, body, idempotency, charge };
      if (given.action !== undefined) await parts.refresh();
      return replyOf(given, await handleBound(given, input, binding));
    },
  };
}

const NOTHING: Nothing = {};

async function handleBound(
  given: Operation,
  input: Input<unknown, unknown, unknown>,
  binding: Binding | undefined,
): Promise<unknown> {
  if (binding === undefined) return handleOnce(given, input);
  try {
    return await handleOnce(given, input);
  } catch (error) {
    throw await binding.translate(error, input.caller);
  }
}

/**
 * Runs the handler; once more when it was refused because an equal request under the same key was committed meanwhile.
 * That second run finds the first answer, after having been authorised like any other. Not when this very request was
 * committed and may yet not be answered (field `commit`): its revocation is not in the anchor.
 */
async function handleOnce(given: Operation, input: Input<unknown, unknown, unknown>): Promise<unknown> {
  try {
    return await given.handle(input);
  } catch (error) {
    if (!(error instanceof WritError) || error.field === 'commit' || error.code === 'idempotency_mismatch') throw error;
    if ((await input.idempotency?.first()) === undefined) throw error;
    return await given.handle(input);
  }
}

function replyOf(given: Operation, answer: unknown): Reply {
  if (given.raw !== undefined) return answer as Reply;
  const body = JSON.stringify(answer);
  const status = given.statusOf?.(answer) ?? given.status ?? 200;
  return given.cache === undefined ? { status, body } : { status, body, cache: given.cache, etag: entityTag(body) };
}

/** A strong entity tag of a body. */
export function entityTag(body: string): string {
  return `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`;
}

function parseBody(given: Operation, exchange: Exchange): unknown {
  if (given.rawBody !== undefined) return rawBody(given.rawBody, exchange);
  if (given.body === undefined) {
    // Many clients cannot send nothing; an empty object says as much.
    if (exchange.body.length === 0) return NOTHING;
    demandJson(exchange);
    const empty = Object.keys(parseJsonObject(exchange.body)).length === 0;
    if (empty) return NOTHING;
    throw new WritError('bad_request', 'This operation takes no fields.', { remedy: 'Send no body, or {}.' });
  }
  demandJson(exchange);
  return parse(given.body, parseJsonObject(exchange.body), 'body');
}

function rawBody(type: string, { headers, body }: Exchange): RawBody {
  if (headers['content-type']?.toLowerCase() !== type) {
    throw new WritError('unsupported_media_type', 'The body is not declared as what this operation takes.', {
      field: 'Content-Type',
      remedy: `Send Content-Type: ${type}.`,
    });
  }
  return { text: Buffer.from(body).toString('latin1'), authorization: headers.authorization ?? '' };
}

function demandJson(exchange: Exchange): void {
  const type = exchange.headers['content-type'] ?? '';
  if (type === 'application/json' || /^application\/json *; *charset="?utf-8"?$/i.test(type)) return;
  throw new WritError('unsupported_media_type', 'The body is not declared as JSON.', {
    field: 'Content-Type',
    remedy: 'Send Content-Type: application/json.',
  });
}

function keyOf(given: Operation, exchange: Exchange, body: unknown, parts: OperationParts): Idempotency | undefined {
  const header = exchange.headers['idempotency-key'];
  if (header === undefined || given.anew === true) return undefined;
  const request = {
    caller: given.keyOwner === undefined ? exchange.caller.id : given.keyOwner(body),
    route: `${given.method} ${given.path}`,
    key: parseIdempotencyKey(String(header)),
    target: exchange.target,
    body: exchange.body,
  };
  return idempotencyOf(request, parts.answers, parts.clock);
}

/** A key owner made from a secret: tells secrets apart and keeps none. */
export function hashedOwner(kind: string, secret: string): string {
  return `${kind}:${createHash('sha256').update(secret).digest('hex')}`;
}

function secretAndApproval(): WritError {
  return new WritError(
    'bad_request',
    'The request holds a secret, which an approval would show to those who are asked.',
    {
      field: 'Writ-Request-Approval',
      remedy: 'Ask for it without the secret, and set that afterwards; or have somebody do it whom policy lets alone.',
    },
  );
}

function named(names: readonly string[], values: readonly string[]): Record<string, string> {
  return Object.fromEntries(names.map((name, index) => [name, values[index]!]));
}

function noQuery(text: string): Nothing {
  if (text === '') return NOTHING;
  throw new WritError('bad_request', 'This operation takes no query.', { remedy: 'Leave out what stands behind "?".' });
}

/** The query as an object of texts. Throws `bad_request` on a name that stands twice or an escape that is no UTF-8. */
function parseQuery(text: string): Record<string, string> {
  const query: Record<string, string> = Object.create(null) as Record<string, string>;
  if (text === '') return { ...query };
  for (const pair of text.split('&')) {
    const mark = pair.indexOf('=');
    const name = decode(mark === -1 ? pair : pair.slice(0, mark));
    if (name in query) {
      const shown = /^\w{1,64}$/.test(name) ? `?${name}` : '?';
      throw new WritError('bad_request', 'A query parameter stands twice.', { field: shown, remedy: 'Send it once.' });
    }
    query[name] = mark === -1 ? '' : decode(pair.slice(mark + 1));
  }
  return { ...query };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    throw new WritError('bad_request', 'The query is not percent-encoded UTF-8.', {
      remedy: 'Encode it as RFC 3986 says.',
    });
  }
}
