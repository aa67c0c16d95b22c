import { createHash } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import type { TrustDomain } from '../../spiffe-id/trust-domain.ts';
import { certificateFacts, factsOf, type PeerFacts } from './facts.ts';

/** Certificates that are remembered by a verifier. */
const REMEMBERED = 1024;

/** The facts of peers that come again and again, where the feed is that of one trust domain. */
export class PeerMemo {
  readonly #trustDomain: TrustDomain;
  readonly #bySocket = new WeakMap<TLSSocket, PeerFacts>();
  readonly #byCertificate = new Map<string, PeerFacts>();

  constructor(trustDomain: TrustDomain) {
    this.#trustDomain = trustDomain;
  }

  /** Of the peer of a connection; undefined when it shows no certificate, its chain did not verify, or it names nobody. */
  ofSocket(socket: TLSSocket): PeerFacts | undefined {
    const known = this.#bySocket.get(socket);
    if (known !== undefined) return known;
    try {
      const certificate = socket.getPeerX509Certificate();
      if (certificate === undefined || !socket.authorized) return undefined;
      const facts = factsOf(certificate, this.#trustDomain);
      this.#bySocket.set(socket, facts);
      return facts;
    } catch {
      return undefined;
    }
  }

  /** Of whoever has this certificate (DER); undefined when it names nobody, or is none. */
  ofCertificate(der: Uint8Array): PeerFacts | undefined {
    const key = createHash('sha256').update(der).digest('base64');
    const known = this.#byCertificate.get(key);
    if (known !== undefined) return known;
    try {
      const facts = certificateFacts(der, this.#trustDomain);
      if (this.#byCertificate.size >= REMEMBERED) this.#byCertificate.clear();
      this.#byCertificate.set(key, facts);
      return facts;
    } catch {
      return undefined;
    }
  }
}
