import { isWritError } from '../../base/error.ts';
import { type DomainAuthority, domainAuthorities, listDomains } from '../../ca/domain/domain.ts';
import { sameBytes } from '../../der/bytes.ts';
import { createRateLimit } from '../../http/rate-limit.ts';
import { parseSpiffeId } from '../../spiffe-id/spiffe-id.ts';
import type { TrustDomain } from '../../spiffe-id/trust-domain.ts';
import { verifySignature } from '../../x509/algorithm.ts';
import type { Certificate } from '../../x509/certificate.ts';
import { findExtension } from '../../x509/extension.ts';
import { decodeSubjectAltName, SUBJECT_ALT_NAME } from '../../x509/extensions/subject-alt-name.ts';
import { parsePublicKey } from '../../x509/public-key.ts';
import type { DomainParts } from './parts.ts';

export interface MisnamedParts extends Pick<DomainParts, 'reader' | 'clock' | 'recordRefusal'> {
  readonly trustDomain: TrustDomain;
}

/** Whoever shows a certificate need not be anybody: looks are few, and what is not looked at is not counted. */
const LOOKS = { perSecond: 1, burst: 8, callers: 2 };

/**
 * Gives what is to be told of each client certificate that was refused in a handshake. One that names somebody of this trust
 * domain, and that a subordinate authority of a further trust domain has signed, is worth nothing to anybody; that its bearer
 * signs such is put on record. Never rejects.
 */
export function misnamedWatch(parts: MisnamedParts): (refused: Certificate) => Promise<void> {
  const looks = createRateLimit(LOOKS);
  return async (refused) => {
    const name = nameOfOurs(refused, parts.trustDomain);
    if (name === undefined || looks.take('', performance.now()) > 0) return;
    const signer = await signerOf(refused, parts).catch(() => undefined);
    if (signer === undefined) return;
    await parts.recordRefusal({
      ...{ type: 'access.refused', by: `domain:${signer.trustDomain}`, code: 'not_authenticated' },
      subjects: [`domain:${signer.trustDomain}`, `authority:${signer.id}`],
      body: {
        action: 'connect',
        spiffe_id: name,
        reasons: ['A subordinate authority of another trust domain signed a name of this one.'],
      },
    });
  };
}

/** The SPIFFE ID of this trust domain that a certificate claims; undefined when it claims none. */
function nameOfOurs({ extensions }: Certificate, trustDomain: TrustDomain): string | undefined {
  try {
    const names = findExtension(extensions, SUBJECT_ALT_NAME);
    if (names === undefined) return undefined;
    for (const { kind, value } of decodeSubjectAltName(names.value)) {
      if (kind !== 'uri' || typeof value !== 'string' || !value.startsWith(`spiffe://${trustDomain}/`)) continue;
      return parseSpiffeId(value).uri;
    }
  } catch (error) {
    if (!isWritError(error)) throw error;
  }
  return undefined;
}

/** The subordinate authority whose key signed it: also one that was revoked, as long as it has not expired. */
async function signerOf(
  certificate: Certificate,
  { reader, clock }: Pick<MisnamedParts, 'reader' | 'clock'>,
): Promise<DomainAuthority | undefined> {
  for (const { trustDomain } of await listDomains(reader)) {
    for (const authority of await domainAuthorities(reader, trustDomain, clock.now())) {
      const { kind, certificate: above } = authority;
      if (kind !== 'subordinate' || !sameBytes(above.subject.raw, certificate.issuer.raw)) continue;
      if (isSignedBy(certificate, above)) return authority;
    }
  }
  return undefined;
}

function isSignedBy({ signatureAlgorithm, tbs, signature }: Certificate, { spki }: Certificate): boolean {
  try {
    return verifySignature(signatureAlgorithm, parsePublicKey(spki), tbs, signature);
  } catch (error) {
    if (isWritError(error, 'bad_certificate')) return false;
    throw error;
  }
}
