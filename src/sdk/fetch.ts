import { Agent, request } from 'node:https';
import { Readable } from 'node:stream';
import { WritError } from '../base/error.ts';
import type { Identity } from './identity.ts';
import type { PeerRule } from './peer.ts';

export type Fetch = (url: string | URL, init?: RequestInit) => Promise<Response>;

/** Statuses that carry no body (Fetch §2.2.3); `Response` refuses one for them. */
const WITHOUT_BODY = new Set([101, 204, 205, 304]);

/**
 * A `fetch` with mutual TLS: as the global one, but the identity is shown and the server's chain must lead to our roots.
 * With `allow` the server is accepted by its SPIFFE ID, without by its host name. The rule is fixed for the life of the
 * function, since the connections it keeps were accepted under it.
 *
 * Redirects are not followed: a rule of who may answer is for one server. After a renewal new calls open new
 * connections with the new certificate; calls under way finish on the old ones.
 */
export function identityFetch(identity: Identity, rule: { readonly allow?: PeerRule } = {}): Fetch {
  let agent = openAgent(identity, rule);
  identity.on('renewed', () => {
    const old = agent;
    agent = openAgent(identity, rule);
    old.maxFreeSockets = 0;
    for (const sockets of Object.values(old.freeSockets)) for (const socket of sockets ?? []) socket.destroy();
  });
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
    return send(asked, body, agent);
  };
}

function openAgent(identity: Identity, rule: { readonly allow?: PeerRule }): Agent {
  return new Agent({ ...identity.clientOptions(rule), keepAlive: true });
}

function send(asked: Request, body: Buffer | undefined, agent: Agent): Promise<Response> {
  const headers = Object.fromEntries(asked.headers);
  if (body !== undefined) headers['content-length'] = String(body.length);
  return new Promise((resolve, reject) => {
    const sent = request(asked.url, { method: asked.method, headers, agent, signal: asked.signal }, (answer) => {
      const status = answer.statusCode ?? 0;
      const received = new Headers();
      for (let i = 0; i + 1 < answer.rawHeaders.length; i += 2) {
        received.append(answer.rawHeaders[i]!, answer.rawHeaders[i + 1]!);
      }
      const empty = WITHOUT_BODY.has(status);
      if (empty) answer.resume();
      const stream = empty ? null : (Readable.toWeb(answer) as ReadableStream<Uint8Array>);
      resolve(new Response(stream, { status, statusText: answer.statusMessage ?? '', headers: received }));
    });
    sent.on('error', reject);
    sent.end(body);
  });
}
