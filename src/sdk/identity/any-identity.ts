import { constants } from 'node:crypto';
import { EventEmitter } from 'node:events';
import type {
  ConnectionOptions,
  DetailedPeerCertificate,
  PeerCertificate,
  SecureContextOptions,
  Server,
  TLSSocket,
  TlsOptions,
} from 'node:tls';
import { parseSpiffeId } from '../../spiffe-id/spiffe-id.ts';
import type { TrustDomain } from '../../spiffe-id/trust-domain.ts';
import { checkPeer, compileRule, type PeerRule, peerOf, ruleContexts } from '../peer/peer.ts';
import { type Credential, pemOf } from './credential.ts';
import { type Fetch, identityFetch } from './fetch.ts';

export interface IdentityEvents {
  /** A new certificate is in use. */
  renewed: [Credential];
  /** A renewal failed, or the Workload API was lost; it is tried again. What is there is used until it expires. */
  failed: [Error];
  /**
   * The certificate has expired or was revoked. An identity of `connect` is not renewed any more: enrol anew. One of the
   * Workload API comes back, with `renewed`, where it is given again.
   */
  ended: [Error];
  /** It was closed; `revoked` where its own program has stopped it. */
  closed: [Error];
}

/** Others than our own trust domain whose peers may come, where that was asked for. */
export interface Federation {
  /** PEM of their roots. */
  readonly roots: readonly string[];
  /** Why whoever has shown this chain (DER, leaf first) is not who it names; undefined when it is. */
  fault(chain: readonly Uint8Array[], purpose: 'client' | 'server'): Error | undefined;
}

/**
 * An identity, wherever it came from: `connect` or the Workload API. Key and certificate as they are now, handed to TLS.
 * The key is in memory.
 */
export abstract class AnyIdentity extends EventEmitter<IdentityEvents> {
  readonly trustDomain: TrustDomain;
  readonly #contextOf = ruleContexts();
  readonly #servers = new Set<Server>();
  #credential: Credential;
  #withdrawn: Error | undefined;

  constructor(credential: Credential) {
    super();
    this.#credential = credential;
    this.trustDomain = parseSpiffeId(credential.spiffeId).trustDomain;
  }

  /** Lets go of the authority. Connections live on, what is there is used until it expires. */
  abstract close(): void;

  /** Where its authority is, `https://host:port`; undefined where that is not known. */
  get server(): string | undefined {
    return undefined;
  }

  get spiffeId(): string {
    return this.#credential.spiffeId;
  }

  /** What is in use now. Throws the reason (`denied`, `expired`) while the Workload API gives none. */
  get credential(): Credential {
    if (this.#withdrawn !== undefined) throw this.#withdrawn;
    return this.#credential;
  }

  /** PEM of the roots that peers are verified by. */
  get roots(): readonly string[] {
    return this.#credential.roots;
  }

  /**
   * Options for a client (`tls.connect`, `https.request`, `http2.connect`, `new WebSocket` of `ws`). With `allow` the peer is
   * accepted by its SPIFFE ID, whatever its host name; without, by host name as usual. Either way its chain must lead to our
   * roots. Make them anew for each connection or agent, so that each uses the newest certificate.
   */
  clientOptions(options: { readonly allow?: PeerRule } = {}): ConnectionOptions {
    const { allow } = options;
    if (allow === undefined) return { ...contextOf(this.credential), rejectUnauthorized: true };
    const check = checkPeer(compileRule(allow, this.trustDomain));
    const federation = this.federation();
    return {
      ...contextOf(this.credential, federation),
      rejectUnauthorized: true,
      checkServerIdentity: (host, peer) => check(host, peer) ?? federation?.fault(chainOf(peer), 'server'),
      sessionIdContext: this.#contextOf(allow),
    };
  }

  /** Options for a server (`tls`, `https`, `http2`) that demands a client certificate of the same authority. */
  serverOptions(): TlsOptions {
    return { ...contextOf(this.credential), requestCert: true, rejectUnauthorized: true };
  }

  /**
   * Keeps a server on the newest certificate and cuts off every client that `allow` does not name, before anything that
   * it sent is read. Gives a function that lets go of the server.
   */
  protect(server: Server, options: { readonly allow: PeerRule }): () => void {
    const allowed = compileRule(options.allow, this.trustDomain);
    const onConnection = (socket: TLSSocket): void => {
      const peer = peerOf(socket);
      const foreign = (): boolean =>
        this.federation()?.fault(chainOf(socket.getPeerCertificate(true)), 'client') !== undefined;
      if (this.#withdrawn !== undefined || peer === undefined || !allowed(peer) || foreign()) socket.destroy();
    };
    server.prependListener('secureConnection', onConnection);
    // A renewal may have come after the options that the server was made with.
    server.setSecureContext(contextOf(this.credential, this.federation()));
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

  [Symbol.dispose](): void {
    this.close();
  }

  /** Undefined where our own trust domain alone is believed. */
  protected federation(): Federation | undefined {
    return undefined;
  }

  /** Whether exactly this is in use. */
  protected shows({ certificate, roots }: Credential): boolean {
    const { certificate: own, roots: ownRoots } = this.#credential;
    return this.#withdrawn === undefined && certificate === own && roots.join() === ownRoots.join();
  }

  /** Uses another certificate from now on. */
  protected use(next: Credential): void {
    this.#credential = next;
    this.#withdrawn = undefined;
    for (const server of this.#servers) server.setSecureContext(contextOf(next, this.federation()));
    // Not here: what a listener throws is no failure of the renewal.
    queueMicrotask(() => this.emit('renewed', next));
  }

  /** Shows nothing any more until there is another one. False where that was so already. */
  protected withdraw(why: Error): boolean {
    if (this.#withdrawn !== undefined) return false;
    this.#withdrawn = why;
    // Without a certificate no handshake ends well.
    for (const server of this.#servers) server.setSecureContext({ minVersion: 'TLSv1.3' });
    return true;
  }

  /** Shows again what was withdrawn. */
  protected restore(): void {
    if (this.#withdrawn !== undefined) this.use(this.#credential);
  }

  /** Keeps servers on the newest certificate no more. */
  protected release(): void {
    this.#servers.clear();
  }
}

const LONGEST_CHAIN = 8;

/** What a peer has shown, leaf first, and what TLS found above it. */
function chainOf(peer: PeerCertificate | DetailedPeerCertificate): readonly Uint8Array[] {
  const chain: Uint8Array[] = [];
  let next: PeerCertificate | DetailedPeerCertificate | undefined = peer;
  while (next?.raw !== undefined && chain.length < LONGEST_CHAIN) {
    chain.push(next.raw);
    const above: DetailedPeerCertificate | undefined = 'issuerCertificate' in next ? next.issuerCertificate : undefined;
    next = above === next ? undefined : above;
  }
  return chain;
}

function contextOf(credential: Credential, federation?: Federation): SecureContextOptions {
  const { key, chain } = pemOf(credential);
  return {
    key,
    cert: chain,
    ca: [...credential.roots, ...(federation?.roots ?? [])],
    minVersion: 'TLSv1.3',
    // A resumed session would skip the check of the certificate. Given again in every context, or tickets come back.
    secureOptions: constants.SSL_OP_NO_TICKET,
  };
}
