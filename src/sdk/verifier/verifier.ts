import { randomBytes } from 'node:crypto';
import { EventEmitter } from 'node:events';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { ConnectionOptions, Server, TLSSocket, TlsOptions } from 'node:tls';
import type { FeedEntry } from '../../wire/feed.ts';
import { Acknowledger } from '../feed/acknowledger.ts';
import { FeedReader, type PassedOn } from '../feed/reader.ts';
import { relayIdentity } from '../feed/relay-identity.ts';
import { FeedSignatures } from '../feed/signatures.ts';
import type { AnyIdentity } from '../identity/any-identity.ts';
import { type Fetch, identityFetch } from '../identity/fetch.ts';
import { type MachineClock, machineClock } from '../machine-clock.ts';
import type { PeerFacts } from '../peer/facts.ts';
import { PeerMemo } from '../peer/memo.ts';
import { compileRule, type PeerRule, type PeerTest } from '../peer/peer.ts';
import { Relay } from '../relay/relay.ts';
import { Enforcement } from './enforcement.ts';
import { type Decision, feedSourceOf, type Refusal, type VerifierEvents, type VerifierOptions } from './options.ts';
import { type Staleness, stalenessOf } from './staleness.ts';
import { Standing } from './standing.ts';
import type { Fallen } from './stopped.ts';

/** A connection, or a request over one. */
export type Peer = TLSSocket | { readonly socket: unknown };

const LOOK_MS = 100;
const FORGET_MS = 60_000;
/** Rules that are kept compiled. */
const RULES = 64;

/** Makes a verifier and begins to read the feed. Wait for `ready()` before the first peer comes. */
export function createVerifier(options: VerifierOptions): Verifier {
  return new Verifier(options);
}

/**
 * Says of each request whether its peer may be answered now: chain, SPIFFE ID, validity, and the revocation feed, which
 * it follows. Closes live connections of what falls, and tells the server when it refuses. Close it when done.
 */
export class Verifier extends EventEmitter<VerifierEvents> {
  readonly #identity: AnyIdentity;
  readonly #mode: 'strict' | 'available';
  readonly #staleness: Staleness;
  readonly #reader: FeedReader;
  readonly #acknowledger: Acknowledger;
  readonly #standing: Standing;
  readonly #enforcement: Enforcement;
  readonly #rules = new Map<PeerRule, PeerTest>();
  readonly #peers: PeerMemo;
  readonly #relays = new Set<Relay>();
  readonly #feedFetch: Fetch;
  readonly #point: string;
  readonly #timers: readonly NodeJS.Timeout[];
  #well = false;
  #wasWell = false;
  #refusing = true;
  #lastError: Error | undefined;

  /** `clock` is this machine's, but in tests. Throws `bad_config`. */
  constructor(options: VerifierOptions, clock: MachineClock = machineClock) {
    super();
    const { identity, mode, point } = options;
    const { servers, allow, relayed } = feedSourceOf(options);
    this.#identity = identity;
    this.#mode = mode;
    this.#staleness = stalenessOf(options);
    this.#point = point ?? randomBytes(9).toString('base64url');
    this.#peers = new PeerMemo(identity.trustDomain);
    this.#standing = new Standing({
      ...{ identity, peers: this.#peers, staleness: this.#staleness, clock },
      age: () => this.age,
    });
    const reading = relayed
      ? relayIdentity(identity, {
          fault: (certificate) => this.#standing.relayFaultOf(certificate),
          opened: (socket) => this.#enforcement.carry(socket, this.#standing.ofRelay(socket)),
        })
      : identity;
    this.#feedFetch = reading.fetch({ allow });
    this.#acknowledger = new Acknowledger({ fetch: this.#feedFetch, point: this.#point });
    this.#reader = new FeedReader({
      ...{ identity: reading, servers, allow, relayed, point: this.#point, clock },
      signatures: new FeedSignatures({
        ...{ identity, clock },
        // Over TLS it speaks for itself.
        fallen: (subject) => (relayed ? this.#standing.signerFallOf(subject) : undefined),
      }),
      onEntries: (entries, anew, segment) => this.#apply(entries, anew, segment),
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
    const [standing, reader, acknowledger] = [this.#standing, this.#reader, this.#acknowledger];
    this.#enforcement = new Enforcement({ standing, reader, acknowledger });
    this.#timers = [
      setInterval(() => this.#look(), LOOK_MS),
      setInterval(() => this.#standing.stopped.forget(clock.wall()), FORGET_MS),
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

  /** Why nobody may act under one of these subjects, as far as is known (`docs/FEED.md` has their forms). */
  fallen(subjects: readonly string[]): Fallen | undefined {
    return this.#standing.fallOf({ subjects });
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
    return this.#judge(this.#peers.ofSocket(socketOf(peer)), options);
  }

  /**
   * The same of whoever has shown this certificate (DER), where a library that speaks TLS itself hands over nothing else. It
   * has to have verified the chain. What is asked about this way is not cut when it falls: ask again.
   */
  authorizeCertificate(certificate: Uint8Array, options: { readonly allow?: PeerRule } = {}): Decision {
    return this.#judge(this.#peers.ofCertificate(certificate), options);
  }

  #judge(facts: PeerFacts | undefined, { allow }: { readonly allow?: PeerRule }): Decision {
    if (facts === undefined) return refuse('no_identity');
    if (allow !== undefined && !this.#test(allow)(facts.id)) return refuse('not_allowed');
    const reason = this.#standing.against(facts);
    if (reason !== undefined) return refuse(reason);
    this.#enforcement.used(facts);
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
      refuseRequest(decision.reason, response);
    };
  }

  /** Options for a server that demands a client certificate: those of the identity. Give the server to `protect`, too. */
  serverOptions(): TlsOptions {
    return this.#identity.serverOptions();
  }

  /**
   * Keeps a server on the newest certificate, cuts off every client that may not be answered before anything that it sent
   * is read, and closes the live connections of what falls; also of those of whom the feed, while it is too old, says
   * nothing any more: in `strict` all, in `available` ephemeral peers. Gives a function that lets go of the server.
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
        checkServerIdentity: (host, certificate) => check(host, certificate) ?? this.#standing.faultOf(certificate.raw),
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
      caller: (socket) => (this.#standing.ownFall() === undefined ? this.#standing.of(socket, allowed)?.id : undefined),
      acknowledged: (done) => this.#acknowledger.addBehind(done, this.#reader),
    });
    const release = this.#identity.protect(server, options);
    // However old what is known here is: those who read it are told so.
    const onConnection = (socket: TLSSocket): void =>
      this.#enforcement.carry(socket, this.#standing.of(socket, allowed));
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

  #admit(socket: TLSSocket, allowed: PeerTest): boolean {
    const facts = this.#peers.ofSocket(socket);
    if (facts === undefined || !allowed(facts.id) || this.#standing.against(facts) !== undefined) return false;
    this.#enforcement.live.hold(socket, facts, false);
    return true;
  }

  #apply(entries: readonly FeedEntry[], anew: boolean, segment: PassedOn | undefined): void {
    const fallen = this.#enforcement.apply(entries, anew);
    const own = this.#standing.ownFall();
    for (const relay of this.#relays) {
      relay.take(segment);
      if (own === 'stopped') relay.close();
      // Nobody is served while it is held; when it is released, it goes on.
      else if (own === 'held') relay.endStreams();
    }
    // Who reads from here hears of its own stop first.
    this.#enforcement.live.cutCarriers(fallen);
    for (const entry of entries) this.emit('entry', entry);
  }

  #look(): void {
    const { age } = this;
    const { strictMs, limitMs } = this.#staleness;
    const [well, refusing] = [age <= strictMs, age > limitMs];
    if (refusing && !this.#refusing && this.#mode === 'strict') this.#enforcement.live.cutStale('all');
    this.#refusing = refusing;
    if (well === this.#well) return;
    this.#well = well;
    if (well) {
      this.#wasWell = true;
      this.emit('well');
      return;
    }
    this.#enforcement.live.cutStale('ephemeral');
    if (this.#wasWell) this.emit('alarm', { age, cause: this.#lastError });
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

/** Says so, and lets go of the connection unless that may pass. */
export function refuseRequest(reason: Refusal, response: ServerResponse): void {
  response.writeHead(statusOf(reason), { 'content-type': 'application/json' });
  response.end(JSON.stringify({ refused: reason }));
  if (reason === 'stale') return;
  const { socket } = response;
  const session = (response as { readonly stream?: { readonly session?: { close(): void } } }).stream?.session;
  // Of HTTP/2 what else is under way comes to its end.
  response.once('finish', () => (session === undefined ? socket?.destroySoon() : session.close()));
}

/** Of HTTP: what is too old now may be well soon. */
export function statusOf(reason: Refusal): 403 | 503 {
  return reason === 'stale' ? 503 : 403;
}
