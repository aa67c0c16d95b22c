import { X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import type { SpiffeId } from '../spiffe-id/spiffe-id.ts';
import { spiffeIdOf } from './peer.ts';

/** What a decision about a peer needs, read once for a connection. */
export interface PeerFacts {
  readonly id: SpiffeId;
  /** Milliseconds. */
  readonly notAfter: number;
  /** What an entry of the feed can name to stop it. */
  readonly subjects: readonly string[];
}

const known = new WeakMap<TLSSocket, PeerFacts>();

/** Of the peer of a connection; undefined when it shows no certificate, its chain did not verify, or it names nobody. */
export function factsOf(socket: TLSSocket): PeerFacts | undefined {
  const kept = known.get(socket);
  if (kept !== undefined) return kept;
  try {
    const certificate = socket.getPeerX509Certificate();
    if (certificate === undefined || !socket.authorized) return undefined;
    const facts = factsOfCertificate(certificate);
    known.set(socket, facts);
    return facts;
  } catch {
    return undefined;
  }
}

/** As `PeerFacts.subjects`. Throws `bad_spiffe_id` when the certificate names nobody. */
export function subjectsOfCertificate(der: Uint8Array): readonly string[] {
  return factsOfCertificate(new X509Certificate(der)).subjects;
}

function factsOfCertificate(certificate: X509Certificate): PeerFacts {
  const id = spiffeIdOf(certificate.raw);
  const serial = certificate.serialNumber.toLowerCase();
  const [kind, name, instance] = id.segments;
  const subjects = [`serial:${serial.padStart(serial.length + (serial.length % 2), '0')}`];
  if (kind === 'operator' && name !== undefined) subjects.push(`operator:${name}`);
  else if ((kind === 'agent' || kind === 'service') && instance !== undefined) {
    subjects.push(`agent:${name}`, `instance:${instance}`);
  }
  return { id, notAfter: Date.parse(certificate.validTo), subjects };
}
