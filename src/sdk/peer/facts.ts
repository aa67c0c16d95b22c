import { X509Certificate } from 'node:crypto';
import { WritError } from '../../base/error.ts';
import type { SpiffeId } from '../../spiffe-id/spiffe-id.ts';
import type { TrustDomain } from '../../spiffe-id/trust-domain.ts';
import { type Certificate, parseCertificate } from '../../x509/certificate.ts';
import { findExtension } from '../../x509/extension.ts';
import {
  AUTHORITY_KEY_IDENTIFIER,
  decodeAuthorityKeyIdentifier,
} from '../../x509/extensions/authority-key-identifier.ts';
import { NO_REV_AVAIL } from '../../x509/extensions/no-rev-avail.ts';
import { decodeSubjectKeyIdentifier, SUBJECT_KEY_IDENTIFIER } from '../../x509/extensions/subject-key-identifier.ts';
import { spiffeIdOf } from './peer.ts';

/** What a decision about a peer needs, read once for a connection. */
export interface PeerFacts {
  readonly id: SpiffeId;
  /** Milliseconds. */
  readonly notAfter: number;
  /** What an entry of the feed that is read can name to stop it. */
  readonly subjects: readonly string[];
  /** Neither list nor responder tells of the certificate (RFC 9608 §2). */
  readonly ephemeral: boolean;
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
 * Of whoever has this certificate (DER or PEM), where the feed is that of `trustDomain`. Throws `bad_spiffe_id` when it names
 * nobody, `bad_certificate` when it does not say by which key it is signed.
 */
export function certificateFacts(der: Uint8Array, trustDomain: TrustDomain): PeerFacts {
  return factsOf(new X509Certificate(der), trustDomain);
}

/** As `certificateFacts`, of a certificate that TLS has verified: with those above it. */
export function factsOf(certificate: X509Certificate, trustDomain: TrustDomain): PeerFacts {
  const id = spiffeIdOf(certificate.raw);
  const parsed = parseCertificate(certificate.raw);
  if (issuerOf(parsed).length === 0) {
    // RFC 5280 §4.2.1.1. It would go on after the stop of the authority whose key it does not name.
    throw new WritError('bad_certificate', 'The certificate does not say by which key it is signed.', {
      remedy: 'The peer needs an X.509-SVID with an authority key identifier.',
    });
  }
  // Names and serial numbers are those of one trust domain: another's planner is somebody else. Keys are what they are anywhere.
  const named = id.trustDomain === trustDomain ? namesOf(certificate, id) : [];
  return {
    id,
    notAfter: Date.parse(certificate.validTo),
    subjects: [...named, ...issuersOf(certificate)],
    ephemeral: findExtension(parsed.extensions, NO_REV_AVAIL) !== undefined,
  };
}

function namesOf({ serialNumber }: X509Certificate, { segments }: SpiffeId): readonly string[] {
  const serial = serialNumber.toLowerCase();
  const [kind, name, instance] = segments;
  const names = [`serial:${serial.padStart(serial.length + (serial.length % 2), '0')}`];
  if (kind === 'operator' && name !== undefined) names.push(`operator:${name}`);
  else if ((kind === 'agent' || kind === 'service') && instance !== undefined) {
    names.push(`agent:${name}`, `instance:${instance}`);
  }
  return names;
}
