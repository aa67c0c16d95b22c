import type { IncomingMessage, ServerResponse } from 'node:http';
import type { SpiffeId } from '../../spiffe-id/spiffe-id.ts';
import type { PeerRule } from '../peer/peer.ts';
import { refuseRequest, statusOf, type Verifier } from '../verifier/verifier.ts';

/*
 * Middleware for web frameworks over `https.createServer(verifier.serverOptions(), …)` or its like of HTTP/2. It asks the
 * verifier for each request, refuses with 403 (503 while the feed is too old) and a JSON body `{"refused":REASON}`, and hands
 * on who it is: ask `peerIn`. The frameworks are described here by what is used of them.
 */

export interface MiddlewareOptions {
  /** Whom to let through; absent: everybody of the trust domain who may be answered. */
  readonly allow?: PeerRule;
}

/** What is needed of a verifier. */
export type Judge = Pick<Verifier, 'authorize'>;

/** By the request of Node below: nothing that a request says can put anybody here. */
const peers = new WeakMap<object, SpiffeId>();

/** A request of Node, or what a framework makes of one: Express's is one itself, Fastify has it in `raw`, Hono in `env`. */
export type AnyRequest =
  | IncomingMessage
  | { readonly raw: object }
  | { readonly env: unknown }
  | { readonly socket: unknown };

/** Whose request it is; undefined where no middleware of this file has let it through. */
export function peerIn(request: AnyRequest): SpiffeId | undefined {
  return peers.get(nodeRequest(request));
}

/** For Express, Connect, and whatever takes their middleware: `app.use(expressPeer(verifier, { allow }))`. */
export function expressPeer(
  verifier: Judge,
  options: MiddlewareOptions = {},
): (request: IncomingMessage, response: ServerResponse, next: (error?: unknown) => void) => void {
  return (request, response, next) => {
    const decision = verifier.authorize(request, options);
    if (!decision.allowed) {
      refuseRequest(decision.reason, response);
      return;
    }
    peers.set(request, decision.id);
    next();
  };
}

/** What is used of Fastify's reply. */
export interface FastifyReplyLike {
  code(status: number): unknown;
  header(name: string, value: string): unknown;
  send(body: unknown): unknown;
}

/** A hook for Fastify: `app.addHook('onRequest', fastifyPeer(verifier, { allow }))`. */
export function fastifyPeer(
  verifier: Judge,
  options: MiddlewareOptions = {},
): (request: { readonly raw: { readonly socket: unknown } }, reply: FastifyReplyLike) => Promise<unknown> {
  return async ({ raw }, reply) => {
    const decision = verifier.authorize(raw, options);
    if (decision.allowed) {
      peers.set(raw, decision.id);
      return undefined;
    }
    reply.code(statusOf(decision.reason));
    reply.header('connection', 'close');
    return reply.send({ refused: decision.reason });
  };
}

/** What is used of Hono's context: under `@hono/node-server` it has Node's request. */
export interface HonoContextLike {
  readonly env: unknown;
  json(body: { readonly refused: string }, status: 403 | 503): Response;
}

/** For Hono on `@hono/node-server`: `app.use(honoPeer(verifier, { allow }))`. */
export function honoPeer(
  verifier: Judge,
  options: MiddlewareOptions = {},
): (context: HonoContextLike, next: () => Promise<void>) => Promise<Response | undefined> {
  return async (context, next) => {
    const request = nodeRequest(context);
    const decision = 'socket' in request ? verifier.authorize(request, options) : undefined;
    if (decision?.allowed !== true) {
      const reason = decision?.reason ?? 'no_identity';
      return context.json({ refused: reason }, statusOf(reason));
    }
    peers.set(request, decision.id);
    await next();
    return undefined;
  };
}

function nodeRequest(request: AnyRequest): object {
  const { raw, env } = request as { readonly raw?: object; readonly env?: { readonly incoming?: object } };
  return env?.incoming ?? raw ?? request;
}
