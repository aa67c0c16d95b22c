import { constants } from 'node:crypto';
import { EventEmitter } from 'node:events';
import type { ConnectionOptions, SecureContextOptions, Server, TLSSocket, TlsOptions } from 'node:tls';
import type { Clock } from '../base/clock.ts';
import { isWritError, WritError } from '../base/error.ts';
import { parseSpiffeId } from '../spiffe-id/spiffe-id.ts';
import type { Credential } from './credential.ts';
import { checkPeer, compileRule, type PeerRule, peerOf } from './peer.ts';
import { firstTry, pauseAfter } from './renewal.ts';

/** Where certificates come from. Implemented over HTTPS in `authority.ts`. */
export interface Authority {
  /** A new certificate for the holder of `current`, for a new key. */
  renew(current: Credential): Promise<Credential>;
  close(): void;
}

export interface IdentityEvents {
  /** A new certificate is in use. */
  renewed: [Credential];
  /** A renewal failed; it is tried again until the certificate expires. */
  failed: [Error];
  /** The certificate has expired or was revoked; nothing renews it any more. Enrol anew. */
  ended: [Error];
}

/** The longest pause that `setTimeout` takes. */
const LONGEST_TIMER_MS = 2_147_483_647;

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
  readonly #servers = new Set<Server>();
  #credential: Credential;
  #timer: NodeJS.Timeout | undefined;
  #failures = 0;
  #running: Promise<Credential> | undefined;
  #closed = false;

  constructor(credential: Credential, authority: Authority, clock: Clock) {
    super();
    this.#credential = credential;
    this.#authority = authority;
    this.#clock = clock;
    this.spiffeId = credential.spiffeId;
    this.trustDomain = parseSpiffeId(credential.spiffeId).trustDomain;
    this.#schedule(firstTry(credential.notBefore, credential.notAfter, Math.random));
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
    return {
      ...this.#context(),
      rejectUnauthorized: true,
      ...(options.allow === undefined
        ? {}
        : { checkServerIdentity: checkPeer(compileRule(options.allow, this.trustDomain)) }),
    };
  }

  /** Options for a server (`tls`, `https`, `http2`) that demands a client certificate of the same authority. */
  serverOptions(): TlsOptions {
    return { ...this.#context(), requestCert: true, rejectUnauthorized: true };
  }

  /**
   * Keeps a server on the newest certificate and cuts off every client that `allow` does not name, before it sends a
   * byte. Gives a function that lets go of the server.
   */
  protect(server: Server, options: { readonly allow: PeerRule }): () => void {
    const allowed = compileRule(options.allow, this.trustDomain);
    const onConnection = (socket: TLSSocket): void => {
      const peer = tryPeerOf(socket);
      if (peer === undefined || !allowed(peer)) socket.destroy();
    };
    server.prependListener('secureConnection', onConnection);
    this.#servers.add(server);
    return () => {
      server.off('secureConnection', onConnection);
      this.#servers.delete(server);
    };
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#servers.clear();
    this.#authority.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #context(): SecureContextOptions {
    const { key, certificate, chain, roots } = this.#credential;
    return {
      key: key.export({ type: 'pkcs8', format: 'pem' }),
      cert: [certificate, ...chain].join(''),
      ca: [...roots],
      minVersion: 'TLSv1.3',
      // A resumed session would skip the check of the certificate. Given again in every context, or tickets come back.
      secureOptions: constants.SSL_OP_NO_TICKET,
    };
  }

  async #renewOnce(): Promise<Credential> {
    if (this.#closed) throw new WritError('unavailable', 'The identity is closed.', { remedy: 'Connect again.' });
    const next = await this.#authority.renew(this.#credential);
    this.#credential = next;
    this.#failures = 0;
    for (const server of this.#servers) server.setSecureContext(this.#context());
    this.#schedule(firstTry(next.notBefore, next.notAfter, Math.random));
    this.emit('renewed', next);
    return next;
  }

  #schedule(at: number): void {
    clearTimeout(this.#timer);
    if (this.#closed) return;
    const wait = Math.min(LONGEST_TIMER_MS, Math.max(0, at - this.#clock.now()));
    this.#timer = setTimeout(() => {
      this.renew().catch((error: Error) => this.#afterFailure(error));
    }, wait);
    this.#timer.unref();
  }

  #afterFailure(error: Error): void {
    if (this.#closed) return;
    const left = this.#credential.notAfter - this.#clock.now();
    const final = isWritError(error, 'revoked') || isWritError(error, 'inactive');
    if (left <= 0 || final) {
      clearTimeout(this.#timer);
      this.emit('ended', error);
      return;
    }
    this.#failures += 1;
    this.#schedule(this.#clock.now() + pauseAfter(this.#failures, left, Math.random));
    this.emit('failed', error);
  }
}

function tryPeerOf(socket: TLSSocket): ReturnType<typeof peerOf> {
  try {
    return peerOf(socket);
  } catch {
    return undefined;
  }
}
