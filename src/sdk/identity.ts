import { constants } from 'node:crypto';
import { EventEmitter } from 'node:events';
import type { ConnectionOptions, SecureContextOptions, Server, TLSSocket, TlsOptions } from 'node:tls';
import { type Clock, systemClock } from '../base/clock.ts';
import { isWritError, WritError } from '../base/error.ts';
import { parseSpiffeId } from '../spiffe-id/spiffe-id.ts';
import { BACKDATED_MS, type Credential, pemOf } from './credential.ts';
import { type Fetch, identityFetch } from './fetch.ts';
import { checkPeer, compileRule, type PeerRule, peerOf, ruleContexts } from './peer.ts';
import { firstTry, pauseAfter } from './renewal.ts';

/** Where certificates come from. Implemented over HTTPS in `authority.ts`. */
export interface Authority {
  /** A new certificate for the holder of `current`, for a new key. */
  renew(current: Credential): Promise<Credential>;
  /** Burns the instance that holds `current` and revokes its certificates. */
  stop(current: Credential, cause: string): Promise<void>;
  close(): void;
  /** `https://host:port`, where there is one. */
  readonly server?: string;
}

export interface IdentityEvents {
  /** A new certificate is in use. */
  renewed: [Credential];
  /** A renewal failed; it is tried again until the certificate expires. */
  failed: [Error];
  /** The certificate has expired or was revoked; nothing renews it any more. Enrol anew. */
  ended: [Error];
}

export interface IdentityOptions {
  readonly clock?: Clock | undefined;
  /** Numbers from 0 to below 1. Default: `Math.random`; jitter is no secret. */
  readonly random?: (() => number) | undefined;
}

/** Timers stand still while a machine sleeps, so a long wait is cut into pieces that look at the clock. */
const LONGEST_WAIT_MS = 30_000;

/**
 * A running instance's identity: key and certificate, renewed at two thirds of its life, handed to TLS.
 *
 * The key is in memory. Timers do not keep the process alive. Close it when done; a closed identity renews no more and
 * its connections live on.
 */
export class Identity extends EventEmitter<IdentityEvents> {
  readonly spiffeId: string;
  readonly trustDomain: string;
  readonly #authority: Authority;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #contextOf = ruleContexts();
  readonly #servers = new Set<Server>();
  #credential: Credential;
  /** How far this clock is ahead of the authority's, in ms, as a fresh certificate shows it. */
  #ahead = 0;
  #timer: NodeJS.Timeout | undefined;
  #failures = 0;
  #running: Promise<Credential> | undefined;
  #over: Error | undefined;

  constructor(credential: Credential, authority: Authority, options: IdentityOptions = {}) {
    super();
    this.#credential = credential;
    this.#authority = authority;
    this.#clock = options.clock ?? systemClock;
    this.#random = options.random ?? Math.random;
    this.spiffeId = credential.spiffeId;
    this.trustDomain = parseSpiffeId(credential.spiffeId).trustDomain;
    this.#schedule(firstTry(credential, this.#random));
  }

  /** Where its authority is, `https://host:port`; undefined where that is no server. */
  get server(): string | undefined {
    return this.#authority.server;
  }

  /** What is in use now. */
  get credential(): Credential {
    return this.#credential;
  }

  /** Renews now; calls that overlap share one renewal. Rejects when it fails, and the identity goes on as before. */
  renew(): Promise<Credential> {
    this.#running ??= this.#renewOnce().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  /**
   * Options for a client (`tls.connect`, `https.request`, `http2.connect`). With `allow` the peer is accepted by its
   * SPIFFE ID, whatever its host name; without, by host name as usual. Either way its chain must lead to our roots.
   * Make them anew for each connection or agent, so that each uses the newest certificate.
   */
  clientOptions(options: { readonly allow?: PeerRule } = {}): ConnectionOptions {
    const { allow } = options;
    return {
      ...this.#context(),
      rejectUnauthorized: true,
      ...(allow !== undefined && {
        checkServerIdentity: checkPeer(compileRule(allow, this.trustDomain)),
        sessionIdContext: this.#contextOf(allow),
      }),
    };
  }

  /** Options for a server (`tls`, `https`, `http2`) that demands a client certificate of the same authority. */
  serverOptions(): TlsOptions {
    return { ...this.#context(), requestCert: true, rejectUnauthorized: true };
  }

  /**
   * Keeps a server on the newest certificate and cuts off every client that `allow` does not name, before anything that
   * it sent is read. Gives a function that lets go of the server.
   */
  protect(server: Server, options: { readonly allow: PeerRule }): () => void {
    const allowed = compileRule(options.allow, this.trustDomain);
    const onConnection = (socket: TLSSocket): void => {
      const peer = peerOf(socket);
      if (peer === undefined || !allowed(peer)) socket.destroy();
    };
    server.prependListener('secureConnection', onConnection);
    // A renewal may have come after the options that the server was made with.
    server.setSecureContext(this.#context());
    this.#servers.add(server);
    return () => {
      server.off('secureConnection', onConnection);
      this.#servers.delete(server);
    };
  }

  /** A `fetch` that shows this identity; see `identityFetch`. Make one for each rule, and keep it. */
  fetch(options: { readonly allow?: PeerRule } = {}): Fetch {
    return identityFetch(this, options);
  }

  /**
   * Stops this instance for good: its id is burnt and its certificates are revoked. For when its work is done or its key
   * may be in other hands (`key_theft`); the causes are those of the REST interface. Then closes. Rejects, and stays open,
   * when the authority did not take it.
   */
  async stop(cause = 'task_completed'): Promise<void> {
    await this.#authority.stop(this.#credential, cause);
    this.close();
  }

  close(): void {
    this.#over ??= new WritError('unavailable', 'The identity is closed.', { remedy: 'Connect again.' });
    clearTimeout(this.#timer);
    this.#servers.clear();
    this.#authority.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #context(): SecureContextOptions {
    const { key, chain } = pemOf(this.#credential);
    return {
      key,
      cert: chain,
      ca: [...this.#credential.roots],
      minVersion: 'TLSv1.3',
      // A resumed session would skip the check of the certificate. Given again in every context, or tickets come back.
      secureOptions: constants.SSL_OP_NO_TICKET,
    };
  }

  async #renewOnce(): Promise<Credential> {
    if (this.#over !== undefined) throw this.#over;
    let next: Credential;
    try {
      next = await this.#authority.renew(this.#credential);
    } catch (error) {
      if (isWritError(error, 'revoked')) this.#end(error);
      throw error;
    }
    // Closed or ended while the answer was under way.
    if (this.#over !== undefined) throw this.#over;
    this.#credential = next;
    this.#failures = 0;
    this.#ahead = this.#clock.now() - (next.notBefore + BACKDATED_MS);
    for (const server of this.#servers) server.setSecureContext(this.#context());
    this.#schedule(firstTry(next, this.#random));
    // Not here: what a listener throws is no failure of the renewal.
    queueMicrotask(() => this.emit('renewed', next));
    return next;
  }

  /** The authority's time, as far as it is known. By it alone, no renewal waits for a wrong clock or runs in circles. */
  #now(): number {
    return this.#clock.now() - this.#ahead;
  }

  #schedule(at: number): void {
    clearTimeout(this.#timer);
    if (this.#over !== undefined) return;
    const wait = Math.max(0, at - this.#now());
    this.#timer = setTimeout(
      () => {
        if (this.#now() < at) this.#schedule(at);
        else this.renew().catch((error: Error) => this.#afterFailure(error));
      },
      Math.min(LONGEST_WAIT_MS, wait),
    );
    this.#timer.unref();
  }

  #afterFailure(error: Error): void {
    if (this.#over !== undefined) return;
    const left = this.#credential.notAfter - this.#now();
    if (left <= 0) {
      this.#end(error);
      return;
    }
    this.#failures += 1;
    this.#schedule(this.#now() + pauseAfter(this.#failures, left, this.#random));
    this.emit('failed', error);
  }

  #end(error: Error): void {
    if (this.#over !== undefined) return;
    this.#over = error;
    clearTimeout(this.#timer);
    this.emit('ended', error);
  }
}
