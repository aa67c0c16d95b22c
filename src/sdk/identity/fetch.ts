import { Agent, type AgentOptions, request } from 'node:https';
import { Readable } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { WritError } from '../../base/error.ts';
import type { PeerRule } from '../peer/peer.ts';
import type { Credential } from './credential.ts';

export type Fetch = (url: string | URL, init?: RequestInit) => Promise<Response>;

/** What a `fetch` needs of an identity. */
export interface FetchIdentity {
  readonly credential: Credential;
  clientOptions(options: { readonly allow?: PeerRule }): AgentOptions;
  /** Told of each connection as it is opened. */
  readonly opened?: (socket: TLSSocket) => void;
}

/** Statuses that carry no body (Fetch §2.2.3); `Response` refuses one for them. */
const WITHOUT_BODY = new Set([101, 204, 205, 304]);

/** Methods that may be sent again when a kept connection turns out to be dead (RFC 9110 §9.2.2). */
const IDEMPOTENT = new Set(['GET', 'HEAD', 'PUT', 'DELETE', 'OPTIONS']);

/**
 * A `fetch` with mutual TLS: as the global one, but the identity is shown and the server's chain must lead to our roots.
 * With `allow` the server is accepted by its SPIFFE ID, without by its host name. The rule is fixed for the life of the
 * function, since the connections it keeps were accepted under it.
 *
 * What differs: redirects are answers like any other (a rule of who may answer is for one server), bodies are sent when
 * they are whole, nothing is decompressed, and failures are those of `node:https` (`denied` for a server that is not
 * allowed). After a renewal new calls open new connections with the new certificate; calls under way finish on the old.
 */
export function identityFetch(identity: FetchIdentity, rule: { readonly allow?: PeerRule } = {}): Fetch {
  // Made at once, so that a rule that cannot be is refused here and not at the first call.
  let agent = openAgent(identity, rule);
  let shown = identity.credential;
  return async (url, init) => {
    // `Request` does what the standard asks of methods, headers and bodies.
    const asked = new Request(url, init);
    if (!asked.url.startsWith('https://')) {
      throw new WritError('bad_request', 'Only https: URLs can carry an identity.', {
        field: 'url',
        remedy: 'Use https.',
      });
    }
    const body = asked.body === null ? undefined : Buffer.from(await asked.arrayBuffer());
    if (shown !== identity.credential) {
      retire(agent);
      agent = openAgent(identity, rule);
      shown = identity.credential;
    }
    return send(asked, body, agent);
  };
}

function openAgent(identity: FetchIdentity, rule: { readonly allow?: PeerRule }): Agent {
  // A server of another make may hand out sessions, and a resumed one skips the check of who answers.
  const agent = new Agent({ ...identity.clientOptions(rule), keepAlive: true, maxCachedSessions: 0 });
  const { opened } = identity;
  if (opened !== undefined) {
    const open = agent.createConnection.bind(agent);
    agent.createConnection = (options, done) => {
      const socket = open(options, done);
      if (socket !== null && socket !== undefined) opened(socket as TLSSocket);
      return socket;
    };
  }
  return agent;
}

/** Lets calls under way end, and keeps no connection after. */
function retire(agent: Agent): void {
  agent.maxFreeSockets = 0;
  for (const sockets of Object.values(agent.freeSockets)) for (const socket of sockets ?? []) socket.destroy();
}

function send(asked: Request, body: Buffer | undefined, agent: Agent): Promise<Response> {
  const { method, signal, url } = asked;
  const headers = Object.fromEntries(asked.headers);
  if (body !== undefined) headers['content-length'] = String(body.length);
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    let answered = false;
    const sent = request(url, { method, headers, agent, signal }, (answer) => {
      answered = true;
      try {
        const status = answer.statusCode!;
        const received = new Headers();
        for (let i = 0; i + 1 < answer.rawHeaders.length; i += 2) {
          received.append(answer.rawHeaders[i]!, answer.rawHeaders[i + 1]!);
        }
        const empty = method === 'HEAD' || WITHOUT_BODY.has(status);
        if (empty) answer.resume();
        const stream = empty ? null : (Readable.toWeb(answer) as ReadableStream<Uint8Array>);
        const response = new Response(stream, { status, statusText: answer.statusMessage!, headers: received });
        resolve(Object.defineProperty(response, 'url', { value: url }));
      } catch (error) {
        // A status or header that the standard does not know.
        answer.destroy();
        reject(error);
      }
    });
    sent.on('error', (error: NodeJS.ErrnoException) => {
      if (signal.aborted) reject(signal.reason);
      // The server had closed a kept connection before it saw this request.
      else if (!answered && sent.reusedSocket && error.code === 'ECONNRESET' && IDEMPOTENT.has(method)) {
        send(asked, body, agent).then(resolve, reject);
      } else reject(error);
    });
    sent.end(body);
  });
}
