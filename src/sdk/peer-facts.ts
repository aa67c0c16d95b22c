import { createHash, X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import { WritError } from '../base/error.ts';
import type { SpiffeId } from '../spiffe-id/spiffe-id.ts';
import { type Certificate, parseCertificate } from '../x509/certificate.ts';
import { findExtension } from '../x509/extension.ts';
import { AUTHORITY_KEY_IDENTIFIER, decodeAuthorityKeyIdentifier } from '../x509/extensions/authority-key-identifier.ts';
import { NO_REV_AVAIL } from '../x509/extensions/no-rev-avail.ts';
import { decodeSubjectKeyIdentifier, SUBJECT_KEY_IDENTIFIER } from '../x509/extensions/subject-key-identifier.ts';
import { spiffeIdOf } from './peer.ts';

/** What a decision about a peer needs, read once for a connection. */
export interface PeerFacts {
  readonly id: SpiffeId;
  /** Milliseconds. */
  readonly notAfter: number;
  /** What an entry of the feed can name to stop it. */
  readonly subjects: readonly string[];
  /** Neither list nor responder tells of the certificate (RFC 9608 §2). */
  readonly ephemeral: boolean;
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

/** The keys that the certificate and those sent with it are signed with, up to the root. */
function issuersOf(certificate: X509Certificate): readonly string[] {
  const chain: Certificate[] = [];
  let next: X509Certificate | undefined = certificate;
  for (let depth = 0; next !== undefined && depth < LONGEST_CHAIN; depth++) {
    chain.push(parseCertificate(next.raw));
    next = next.issuerCertificate;
  }
  return issuersAlong(chain);
}

/**
 * The keys that a verified chain, leaf first, is signed with. By what each authority says of its own key as well: whoever has
 * stolen that key names another one, or none, in what he signs.
 */
export function issuersAlong(chain: readonly Certificate[]): readonly string[] {
  const own = chain.slice(1).flatMap((authority) => keyOf(authority) ?? []);
  return [...new Set([...chain.flatMap(issuerOf), ...own])];
}

/** The key of an authority, as an entry of the feed names it. */
export function keyOf({ extensions }: Certificate): string | undefined {
  const extension = findExtension(extensions, SUBJECT_KEY_IDENTIFIER);
  if (extension === undefined) return undefined;
  return `issuer:${Buffer.from(decodeSubjectKeyIdentifier(extension.value)).toString('hex')}`;
}

/** The key that a certificate is signed with, as an entry of the feed names it. */
export function issuerOf({ extensions }: Certificate): readonly string[] {
  const extension = findExtension(extensions, AUTHORITY_KEY_IDENTIFIER);
  const key = extension === undefined ? undefined : decodeAuthorityKeyIdentifier(extension.value).keyIdentifier;
  return key === undefined ? [] : [`issuer:${Buffer.from(key).toString('hex')}`];
}

const LONGEST_CHAIN = 8;

/**
 * Of whoever has this certificate (DER or PEM). Throws `bad_spiffe_id` when it names nobody, `bad_certificate` when it does not
 * say by which key it is signed.
 */
export function certificateFacts(der: Uint8Array): PeerFacts {
  return factsOfCertificate(new X509Certificate(der));
}

/** Certificates that are remembered by a verifier. */
const REMEMBERED = 1024;

/** The facts of certificates that come again and again. */
export class CertificateMemo {
  readonly #known = new Map<string, PeerFacts>();

  /** Undefined when it names nobody, or is none. */
  of(der: Uint8Array): PeerFacts | undefined {
    const key = createHash('sha256').update(der).digest('base64');
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    try {
      const facts = certificateFacts(der);
      if (this.#known.size >= REMEMBERED) this.#known.clear();
      this.#known.set(key, facts);
      return facts;
    } catch {
      return undefined;
    }
  }
}

function factsOfCertificate(certificate: X509Certificate): PeerFacts {
  const id = spiffeIdOf(certificate.raw);
  const parsed = parseCertificate(certificate.raw);
  if (issuerOf(parsed).length === 0) {
    // RFC 5280 §4.2.1.1. It would go on after the stop of the authority whose key it does not name.
    throw new WritError('bad_certificate', 'The certificate does not say by which key it is signed.', {
      remedy: 'The peer needs an X.509-SVID with an authority key identifier.',
    });
  }
  const serial = certificate.serialNumber.toLowerCase();
  const [kind, name, instance] = id.segments;
  const subjects = [`serial:${serial.padStart(serial.length + (serial.length % 2), '0')}`];
  if (kind === 'operator' && name !== undefined) subjects.push(`operator:${name}`);
  else if ((kind === 'agent' || kind === 'service') && instance !== undefined) {
    subjects.push(`agent:${name}`, `instance:${instance}`);
  }
  return {
    id,
    notAfter: Date.parse(certificate.validTo),
    subjects: [...subjects, ...issuersOf(certificate)],
    ephemeral: findExtension(parsed.extensions, NO_REV_AVAIL) !== undefined,
  };
}
