import { randomUUID } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { Agent, request } from 'node:https';
import { setTimeout as pause } from 'node:timers/promises';
import type { PeerCertificate } from 'node:tls';
import { WritError } from '../base/error.ts';
import { connectionError, isPassing, problemError, retryAfter } from './client-failure.ts';

export interface ClientOptions {
  /** Where the server is: `https://host:port`, nothing behind it. */
  readonly server: string;
  /** PEM of the roots that the server's chain must lead to. */
  readonly roots: readonly string[];
  /** Shown to the server. Absent: none, for enrolment and public documents. */
  readonly credential?: ClientCredential;
  /**
   * Whether the certificate is this server's, once its chain is verified. Absent: by host name alone. A service of the
   * same trust domain can have a certificate with any name that its profile allows, so callers who know the trust domain
   * should also demand `spiffe://<trust domain>/writ/server`.
   */
  readonly checkServer?: (host: string, certificate: PeerCertificate) => Error | undefined;
  /** Milliseconds for one attempt, from connecting to the last octet. Default 15 000. */
  readonly timeout?: number;
  /** How often a request is tried in all. Default 4. */
  readonly attempts?: number;
}

/** Key and certificate of the caller in PEM; `chain` is the certificate followed by the authorities above it. */
export interface ClientCredential {
  readonly key: string;
  readonly chain: string;
}

export interface ClientRequest {
  /** Default `GET`. */
  readonly method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Begins with a slash; parameters in it already percent-encoded. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>;
  /** Sent as JSON. */
  readonly body?: unknown;
  /** For writes; absent: a fresh one. Every attempt carries the same. */
  readonly idempotencyKey?: string;
  readonly signal?: AbortSignal;
  /** Beside those that every request has. */
  readonly headers?: Readonly<Record<string, string>>;
}

export interface ClientAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

const TIMEOUT_MS = 15_000;
const ATTEMPTS = 4;
/** The first pause; each further one is up to twice as long. */
const PAUSE_MS = 100;
/** A server that asks for a longer pause than this is not waited for. */
const LONGEST_PAUSE_MS = 20_000;
const LARGEST_ANSWER = 32 * 1024 * 1024;

/**
 * A small HTTPS client for Writ's own interface, which keeps its connections. Requests that fail on the way, or that the
 * server could not take just now (408, 429, 503), are tried again after a pause with jitter; writes carry an
 * idempotency key, so that trying again is safe. Failures are `WritError`s with the code of the server's problem
 * document, `unavailable` where there was no answer, `bad_certificate` where the server could not be trusted.
 */
export class Client {
  readonly #options: ClientOptions;
  readonly #origin: URL;
  #agent: Agent;

  constructor(options: ClientOptions) {
    this.#options = options;
    this.#origin = parseOrigin(options.server);
    this.#agent = openAgent(options, options.credential);
  }

  /**
   * From now on requests show this credential, and the server's chain must lead to one of these roots; absent: of those
   * from the beginning. What is under way ends on the connection it began on.
   */
  setCredential(credential: ClientCredential, roots: readonly string[] = this.#options.roots): void {
    const old = this.#agent;
    this.#agent = openAgent({ ...this.#options, roots }, credential);
    retire(old);
  }

  /** The answer as parsed JSON. Its shape is the caller's to trust: the server is authenticated. */
  async json<T>(asked: ClientRequest): Promise<T> {
    const { body } = await this.send(asked);
    try {
      return JSON.parse(body.toString('utf8')) as T;
    } catch (cause) {
      throw new WritError('internal', 'The server answered with something that is not JSON.', { cause });
    }
  }

  /** Sends a request, again where that helps, and gives the answer when its status is 2xx or 304. */
  async send(asked: ClientRequest): Promise<ClientAnswer> {
    const key =
      asked.method === undefined || asked.method === 'GET' ? undefined : (asked.idempotencyKey ?? randomUUID());
    const attempts = this.#options.attempts ?? ATTEMPTS;
    for (let attempt = 1; ; attempt++) {
      const outcome = await this.#once(asked, key);
      if (!(outcome instanceof WritError) && (outcome.status < 300 || outcome.status === 304)) return outcome;
      const error = outcome instanceof WritError ? outcome : problemError(outcome);
      const told = outcome instanceof WritError ? 0 : retryAfter(outcome);
      if (attempt >= attempts || !isPassing(outcome) || told > LONGEST_PAUSE_MS) throw error;
      // Those that were turned away at one moment do not come back at one moment.
      const wait = Math.max(told * (1 + Math.random() / 2), Math.random() * PAUSE_MS * 2 ** attempt);
      await pause(wait, undefined, asked.signal === undefined ? {} : { signal: asked.signal });
    }
  }

  /** Drops all connections. */
  close(): void {
    this.#agent.destroy();
  }

  /** One attempt. An answer of any status, or why there was none. Rejects only when the caller's signal says so. */
  #once(asked: ClientRequest, key: string | undefined): Promise<ClientAnswer | WritError> {
    asked.signal?.throwIfAborted();
    const payload = asked.body === undefined ? undefined : Buffer.from(JSON.stringify(asked.body), 'utf8');
    const headers: Record<string, string | number> = {
      Accept: 'application/json, application/problem+json, */*',
      ...asked.headers,
    };
    if (payload !== undefined) headers['Content-Type'] = 'application/json';
    if (key !== undefined) {
      headers['Idempotency-Key'] = key;
      headers['Content-Length'] = payload?.length ?? 0;
    }
    const deadline = AbortSignal.timeout(this.#options.timeout ?? TIMEOUT_MS);
    const signal = asked.signal === undefined ? deadline : AbortSignal.any([deadline, asked.signal]);
    return new Promise((resolve, reject) => {
      const fail = (cause: NodeJS.ErrnoException): void => {
        if (asked.signal?.aborted === true) reject(asked.signal.reason);
        else resolve(connectionError(this.#origin.host, cause, deadline.aborted));
      };
      const sent = request(
        {
          host: this.#origin.hostname.replace(/^\[|\]$/g, ''),
          port: this.#origin.port === '' ? 443 : this.#origin.port,
          method: asked.method ?? 'GET',
          path: asked.path + queryText(asked.query),
          headers,
          agent: this.#agent,
          signal,
        },
        (answer) => {
          const chunks: Buffer[] = [];
          let length = 0;
          answer.on('data', (chunk: Buffer) => {
            length += chunk.length;
            if (length > LARGEST_ANSWER) answer.destroy(new Error('the answer is too large'));
            else chunks.push(chunk);
          });
          answer.on('end', () =>
            resolve({ status: answer.statusCode!, headers: answer.headers, body: Buffer.concat(chunks, length) }),
          );
          answer.on('error', fail);
        },
      );
      sent.on('error', fail);
      sent.end(payload);
    });
  }
}

function openAgent(options: ClientOptions, credential: ClientCredential | undefined): Agent {
  return new Agent({
    keepAlive: true,
    minVersion: 'TLSv1.3',
    ca: [...options.roots],
    ...(options.checkServer === undefined ? {} : { checkServerIdentity: options.checkServer }),
    ...(credential === undefined ? {} : { key: credential.key, cert: credential.chain }),
  });
}

/** Lets requests under way end, and keeps no connection after. */
function retire(agent: Agent): void {
  agent.maxFreeSockets = 0;
  for (const sockets of Object.values(agent.freeSockets)) for (const socket of sockets ?? []) socket.destroy();
}

/** Where a server is. Throws `bad_config` for all but `https://host:port`. */
export function parseOrigin(server: string): URL {
  const url = URL.canParse(server) ? new URL(server) : undefined;
  if (url?.protocol === 'https:' && url.pathname === '/' && url.search + url.hash + url.username === '') return url;
  throw new WritError('bad_config', 'The server is not an https:// address without a path.', {
    field: 'server',
    remedy: 'Give it like https://localhost:8443.',
  });
}

function queryText(query: ClientRequest['query']): string {
  const pairs = Object.entries(query ?? {}).filter(([, value]) => value !== undefined);
  if (pairs.length === 0) return '';
  return `?${pairs.map(([name, value]) => `${name}=${encodeURIComponent(String(value))}`).join('&')}`;
}
