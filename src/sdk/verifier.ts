import { randomBytes } from 'node:crypto';
import { EventEmitter } from 'node:events';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { ConnectionOptions, Server, TLSSocket, TlsOptions } from 'node:tls';
import { WritError } from '../base/error.ts';
import type { SpiffeId } from '../spiffe-id/spiffe-id.ts';
import type { FeedAck, FeedEntry } from '../wire/feed.ts';
import { Acknowledger } from './acknowledger.ts';
import { FeedReader } from './feed-reader.ts';
import { type Fetch, identityFetch } from './fetch.ts';
import type { Identity } from './identity.ts';
import { LiveConnections } from './live.ts';
import { compileRule, type PeerRule, type PeerTest } from './peer.ts';
import { factsOf, type PeerFacts, subjectsOfCertificate } from './peer-facts.ts';
import { Relay } from './relay.ts';
import { relayIdentity } from './relay-identity.ts';
import { type Fallen, Stopped } from './stopped.ts';
import { Uses } from './uses.ts';

export interface VerifierOptions {
  /** Shows who reads the feed, and whose roots peers are checked by. */
  readonly identity: Identity;
  /** `https://host:port` of the API. Default: where the identity enrolled. */
  readonly server?: string | undefined;
  /**
   * Relays to read the feed from in place of the API, `https://host:port` each, tried in turn; for programs that do not
   * reach it. What they say is believed: name in `relays` who may be one.
   */
  readonly feed?: string | readonly string[] | undefined;
  /** Whose word on the feed is taken, like `service/gateway/*`. */
  readonly relays?: PeerRule | undefined;
  /**
   * `strict` (decisions, gateways, short-lived peers) refuses everybody when the feed is older than `strictMs`; `available`
   * (plain mutual TLS) goes on for `staleMs` with what it knows, and raises an alarm.
   */
  readonly mode: 'strict' | 'available';
  /** Default 5 000. In both modes the alarm is raised after it. */
  readonly strictMs?: number | undefined;
  /** Default 900 000: 15 minutes. */
  readonly staleMs?: number | undefined;
  /** Name of this enforcement point in the server's records: letters, digits and . _ : - . Default: a random one. */
  readonly point?: string | undefined;
}

export interface VerifierEvents {
  /** Everything is known that the server knows, for the first time or again. */
  well: [];
  /** The feed is older than `strictMs`. Milliseconds, and what went wrong last. */
  alarm: [{ readonly age: number; readonly cause: Error | undefined }];
  /** Something was stopped, held or released. */
  entry: [FeedEntry];
}

export type Refusal = 'no_identity' | 'not_allowed' | 'expired' | 'stopped' | 'held' | 'stale';

export type Decision =
  | { readonly allowed: true; readonly id: SpiffeId }
  | { readonly allowed: false; readonly reason: Refusal };

/** A connection, or a request over one. */
export type Peer = TLSSocket | { readonly socket: unknown };

const DEFAULT_STRICT_MS = 5000;
const DEFAULT_STALE_MS = 15 * 60_000;
const LOOK_MS = 100;
const FORGET_MS = 60_000;
/** How long after an entry uses are still looked for that should not have been. */
const AFTER_MS = 1000;
/** Rules that are kept compiled. */
const RULES = 64;

/** Makes a verifier and begins to read the feed. Wait for `ready()` before the first peer comes. */
export function createVerifier(options: VerifierOptions): Verifier {
  const { feed, relays } = options;
  if (feed !== undefined) {
    const servers = typeof feed === 'string' ? [feed] : feed;
    if (relays !== undefined && servers.length > 0)
      return new Verifier(options, { servers, allow: relays, relayed: true });
    throw new WritError('bad_config', 'It is not said whose word on the feed is to be taken.', {
      field: 'relays',
      remedy: 'Name the relays by their SPIFFE IDs, like service/gateway/*, and at least one address.',
    });
  }
  const server = options.server ?? options.identity.server;
  if (server === undefined) {
    throw new WritError('bad_config', 'The identity does not say where its server is.', {
      field: 'server',
      remedy: 'Give the address of the API, like https://ca.internal:8443.',
    });
  }
  return new Verifier(options, { servers: [server], allow: SERVER_RULE, relayed: false });
}

/** The API is whoever has the id of the authority's own servers. */
const SERVER_RULE = 'writ/server';

/** Where the feed is read. */
interface FeedSource {
  readonly servers: readonly string[];
  readonly allow: PeerRule;
  /** From others than the authority's own servers, who can be stopped like anybody. */
  readonly relayed: boolean;
}

/**
 * Says of each request whether its peer may be answered now: chain, SPIFFE ID, validity, and the revocation feed, which
 * it follows. Closes live connections of what falls, and tells the server when it refuses. Close it when done.
 */
export class Verifier extends EventEmitter<VerifierEvents> {
  readonly #identity: Identity;
  readonly #mode: 'strict' | 'available';
  readonly #alarmMs: number;
  readonly #limitMs: number;
  readonly #reader: FeedReader;
  readonly #acknowledger: Acknowledger;
  readonly #uses = new Uses();
  readonly #rules = new Map<PeerRule, PeerTest>();
  readonly #live = new LiveConnections();
  readonly #relays = new Set<Relay>();
  readonly #feedFetch: Fetch;
  readonly #point: string;
  readonly #timers: readonly NodeJS.Timeout[];
  #stopped = new Stopped();
  #well = false;
  #wasWell = false;
  #refusing = true;
  #lastError: Error | undefined;

  constructor({ identity, mode, strictMs, staleMs, point }: VerifierOptions, source: FeedSource) {
    super();
    this.#identity = identity;
    this.#mode = mode;
    this.#alarmMs = strictMs ?? DEFAULT_STRICT_MS;
    this.#limitMs = mode === 'strict' ? this.#alarmMs : (staleMs ?? DEFAULT_STALE_MS);
    this.#point = point ?? randomBytes(9).toString('base64url');
    const { servers, allow, relayed } = source;
    const reading = relayed
      ? relayIdentity(identity, {
          fault: (certificate) => {
            const reason = this.#stopped.of(subjectsOfCertificate(certificate));
            return reason === undefined ? undefined : peerRefused(reason);
          },
          opened: (socket) => this.#carry(socket, () => true),
        })
      : identity;
    this.#feedFetch = reading.fetch({ allow });
    this.#acknowledger = new Acknowledger({ fetch: this.#feedFetch, point: this.#point });
    this.#reader = new FeedReader({
      ...{ identity: reading, servers, allow, point: this.#point },
      onEntries: (entries, anew) => this.#apply(entries, anew),
      onJoined: () => {
        for (const relay of this.#relays) relay.joined();
      },
      onFresh: () => {
        this.#look();
        for (const relay of this.#relays) relay.beat();
      },
      onLost: (error) => {
        this.#lastError = error;
      },
    });
    this.#timers = [
      setInterval(() => this.#look(), LOOK_MS),
      setInterval(() => this.#stopped.forget(Date.now()), FORGET_MS),
    ];
    for (const timer of this.#timers) timer.unref();
  }

  /** Whether everything is known that the server knows, as of a moment that is not older than `strictMs`. */
  get well(): boolean {
    return this.#well;
  }

  /** How old, at most, what is known may be: milliseconds; infinite before the feed was read. */
  get age(): number {
    return this.#reader.age();
  }

  /** Resolves when the verifier is well. */
  async ready(signal?: AbortSignal): Promise<void> {
    if (this.#well) return;
    await new Promise<void>((resolve, reject) => {
      const abort = (): void => reject(signal!.reason);
      signal?.addEventListener('abort', abort, { once: true });
      this.once('well', () => {
        signal?.removeEventListener('abort', abort);
        resolve();
      });
    });
  }

  /** Whether this peer may be answered now. To be asked for each request; takes microseconds and waits for nothing. */
  authorize(peer: Peer, options: { readonly allow?: PeerRule } = {}): Decision {
    const facts = factsOf(socketOf(peer));
    if (facts === undefined) return refuse('no_identity');
    const { allow } = options;
    if (allow !== undefined && !this.#test(allow)(facts.id)) return refuse('not_allowed');
    const reason = this.#judge(facts);
    if (reason !== undefined) return refuse(reason);
    this.#uses.add(facts.subjects, this.#reader.serverTime());
    return { allowed: true, id: facts.id };
  }

  /**
   * Handles requests of peers that may be answered, and refuses the others: 403, or 503 while the feed is too old. For
   * `https` and the compatible interface of `http2`.
   */
  guard(handler: RequestListener, options: { readonly allow?: PeerRule } = {}): RequestListener {
    return (request, response) => {
      const decision = this.authorize(request, options);
      if (decision.allowed) {
        handler(request, response);
        return;
      }
      const { reason } = decision;
      response.writeHead(reason === 'stale' ? 503 : 403, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ refused: reason }));
      if (reason !== 'stale') response.once('finish', () => request.socket.destroySoon());
    };
  }

  /** Options for a server that demands a client certificate: those of the identity. Give the server to `protect`, too. */
  serverOptions(): TlsOptions {
    return this.#identity.serverOptions();
  }

  /**
   * Keeps a server on the newest certificate, cuts off every client that may not be answered before anything that it sent
   * is read, and closes the live connections of what falls; in `strict` also all of them while the feed is too old. Gives
   * a function that lets go of the server.
   */
  protect(server: Server, options: { readonly allow: PeerRule }): () => void {
    const allowed = compileRule(options.allow, this.#identity.trustDomain);
    const release = this.#identity.protect(server, options);
    const onConnection = (socket: TLSSocket): void => {
      // A resumed session has not shown its certificate again. Identities hand none out; other settings might.
      if (socket.isSessionReused() || !this.#admit(socket, allowed)) socket.destroy();
    };
    server.prependListener('secureConnection', onConnection);
    return () => {
      server.off('secureConnection', onConnection);
      release();
    };
  }

  /**
   * Options for a client, as those of the identity: the server is refused when it may not be trusted now. Hand the socket
   * to `track`, or use `fetch`, so that it is closed when the server falls.
   */
  clientOptions(options: { readonly allow?: PeerRule } = {}): ConnectionOptions {
    const given = this.#identity.clientOptions(options);
    const check = given.checkServerIdentity;
    return {
      ...given,
      ...(check !== undefined && {
        checkServerIdentity: (host, certificate) => {
          const fault = check(host, certificate);
          if (fault !== undefined) return fault;
          const subjects = subjectsOfCertificate(certificate.raw);
          const reason = this.#reasonAgainst(subjects);
          return reason === undefined ? undefined : peerRefused(reason);
        },
      }),
    };
  }

  /** Closes this connection when its peer falls. Closes it at once when it has. */
  track(socket: TLSSocket): void {
    if (!this.#admit(socket, () => true)) socket.destroy();
  }

  /** A `fetch` as the identity's, which trusts no server that has fallen and lets go of one that falls. */
  fetch(options: { readonly allow: PeerRule }): Fetch {
    const self = this;
    return identityFetch(
      {
        get credential() {
          return self.#identity.credential;
        },
        clientOptions: (rule) => self.clientOptions(rule),
        opened: (socket) => socket.once('secureConnect', () => self.track(socket)),
      },
      options,
    );
  }

  /**
   * Serves the feed on to programs that do not reach the server, whoever of them `allow` names: they make a verifier with
   * the address of this server as `feed`. The server is one of `https.createServer(verifier.serverOptions())` that does
   * nothing else. What they acknowledge counts at the authority as this one's word.
   */
  relay(server: Server, options: { readonly allow: PeerRule }): Relay {
    const allowed = compileRule(options.allow, this.#identity.trustDomain);
    const relay = new Relay({
      ...{ reader: this.#reader, fetch: this.#feedFetch, point: this.#point },
      caller: (socket) => (this.#fallen() === undefined ? this.#standing(socket, allowed)?.id : undefined),
      acknowledged: (done) => this.#acknowledger.addBehind(done, this.#reader),
    });
    const release = this.#identity.protect(server, options);
    // However old what is known here is: those who read it are told so.
    const onConnection = (socket: TLSSocket): void => this.#carry(socket, allowed);
    server.prependListener('secureConnection', onConnection);
    server.on('request', (request: IncomingMessage, response: ServerResponse) => void relay.serve(request, response));
    this.#relays.add(relay);
    relay.onClose(() => {
      this.#relays.delete(relay);
      server.off('secureConnection', onConnection);
      release();
    });
    return relay;
  }

  close(): void {
    for (const relay of this.#relays) relay.close();
    this.#reader.close();
    this.#acknowledger.close();
    for (const timer of this.#timers) clearInterval(timer);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Compiled once: rules are few, and each is asked for every request. */
  #test(rule: PeerRule): PeerTest {
    const known = this.#rules.get(rule);
    if (known !== undefined) return known;
    if (this.#rules.size >= RULES) this.#rules.clear();
    const test = compileRule(rule, this.#identity.trustDomain);
    this.#rules.set(rule, test);
    return test;
  }

  #judge({ notAfter, subjects }: PeerFacts): Refusal | undefined {
    if (Date.now() >= notAfter) return 'expired';
    return this.#reasonAgainst(subjects);
  }

  #reasonAgainst(subjects: readonly string[]): Refusal | undefined {
    // What is known to have fallen is refused for that, however old the feed.
    return this.#stopped.of(subjects) ?? (this.#reader.age() > this.#limitMs ? 'stale' : undefined);
  }

  #admit(socket: TLSSocket, allowed: PeerTest): boolean {
    const facts = factsOf(socket);
    if (facts === undefined || !allowed(facts.id) || this.#judge(facts) !== undefined) return false;
    this.#live.hold(socket, facts, false);
    return true;
  }

  /** The facts of a peer that is allowed and has not fallen, as far as is known, however old that is. */
  #standing(socket: TLSSocket, allowed: PeerTest): PeerFacts | undefined {
    const facts = factsOf(socket);
    if (facts === undefined || !allowed(facts.id) || Date.now() >= facts.notAfter) return undefined;
    return this.#stopped.of(facts.subjects) === undefined ? facts : undefined;
  }

  /** Why this program itself may not act any more. */
  #fallen(): Fallen | undefined {
    const { certificate } = this.#identity.credential;
    if (this.#own?.of !== certificate) {
      this.#own = { of: certificate, subjects: subjectsOfCertificate(Buffer.from(certificate)) };
    }
    return this.#stopped.of(this.#own.subjects);
  }

  #own: { readonly of: string; readonly subjects: readonly string[] } | undefined;

  /** Keeps a connection that carries the feed for as long as its peer stands. */
  #carry(socket: TLSSocket, allowed: PeerTest): void {
    // A resumed session has not shown its certificate again.
    const facts = socket.isSessionReused() ? undefined : this.#standing(socket, allowed);
    if (facts === undefined) socket.destroy();
    else this.#live.hold(socket, facts, true);
  }

  #apply(entries: readonly FeedEntry[], anew: boolean): void {
    if (anew) this.#stopped = new Stopped();
    const acks: FeedAck[] = [];
    const all = new Set<string>();
    for (const entry of entries) {
      const fallen = this.#stopped.apply(entry);
      this.#live.cut(fallen);
      for (const subject of fallen) all.add(subject);
      const before = anew ? 0 : this.#uses.since(fallen, entry.at);
      if (before > 0) acks.push({ position: entry.position, accepted_before: before });
    }
    if (anew) {
      for (const subject of this.#live.subjects()) if (this.#stopped.of([subject]) !== undefined) all.add(subject);
      this.#live.cut([...all]);
    }
    const last = entries.at(-1);
    if (last !== undefined && acks.at(-1)?.position !== last.position) acks.push({ position: last.position });
    this.#acknowledger.add(acks, this.#reader);
    if (!anew) this.#lookAfter(entries);
    for (const relay of this.#relays) {
      relay.take(entries, anew);
      if (this.#fallen() !== undefined) relay.close();
    }
    // Who reads from here hears of its own stop first.
    this.#live.cutCarriers([...all]);
    for (const entry of entries) this.emit('entry', entry);
  }

  /** Looks once more, later, whether anything was accepted that should not have been, and says so where it was. */
  #lookAfter(entries: readonly FeedEntry[]): void {
    const from = this.#reader.serverTime();
    setTimeout(() => {
      for (const { effect, position, subjects } of entries) {
        const after =
          effect === 'release' || this.#stopped.of(subjects) === undefined ? 0 : this.#uses.since(subjects, from);
        if (after > 0) this.#acknowledger.add([{ position, accepted_after: after }], this.#reader);
      }
    }, AFTER_MS).unref();
  }

  #look(): void {
    const age = this.#reader.age();
    const well = age <= this.#alarmMs;
    const refusing = age > this.#limitMs;
    if (refusing && !this.#refusing && this.#mode === 'strict') this.#live.cutAll();
    this.#refusing = refusing;
    if (well === this.#well) return;
    this.#well = well;
    if (well) {
      this.#wasWell = true;
      this.emit('well');
    } else if (this.#wasWell) this.emit('alarm', { age, cause: this.#lastError });
  }
}

function socketOf(peer: Peer): TLSSocket {
  if (!('socket' in peer)) return peer as TLSSocket;
  const { stream } = peer as { readonly stream?: { readonly session?: { readonly socket: unknown } } };
  return (stream?.session?.socket ?? (peer as IncomingMessage).socket) as TLSSocket;
}

function refuse(reason: Refusal): Decision {
  return { allowed: false, reason };
}

function peerRefused(reason: Refusal): WritError {
  return new WritError(
    reason === 'stale' ? 'unavailable' : 'revoked',
    `The server may not be trusted now: ${reason}.`,
    {
      remedy: reason === 'stale' ? 'Check that this machine reaches the authority.' : 'Ask who runs it.',
    },
  );
}
