import { WritError } from '../base/error.ts';
import { encodeTbsCertList, type RevokedCertificate } from '../x509/crl.ts';
import { AUTHORITY_KEY_IDENTIFIER, encodeAuthorityKeyIdentifier } from '../x509/extensions/authority-key-identifier.ts';
import { CRL_NUMBER, encodeCrlNumber } from '../x509/extensions/crl-number.ts';
import { assembleSigned } from '../x509/signed.ts';
import { Issuer } from './issuer.ts';
import { BACKDATING, wholeSecond } from './prepare.ts';

export interface CrlRequest {
  /** Greater than that of any list of this issuer before; `nextCrlNumber` gives one. */
  readonly number: number;
  /** Seconds for which the list is good. */
  readonly lifetime: number;
  /** What this issuer signed and is revoked, expired ones not needed. */
  readonly revoked: Iterable<RevokedCertificate>;
  /** Milliseconds. */
  readonly now: number;
}

export interface SignedCrl {
  readonly der: Uint8Array;
  readonly number: number;
  /** Milliseconds, whole seconds. */
  readonly thisUpdate: number;
  readonly nextUpdate: number;
}

/**
 * Signs the revocation list of one issuer over all that it signed (RFC 5280 §5). Nothing else in the product signs a
 * list. Rejects with `signer_failed` when the key cannot be used, with `expired` when the issuer has ended: no
 * validator would take its list.
 */
export async function signCrl(issuer: Issuer, request: CrlRequest): Promise<SignedCrl> {
  const { number, lifetime, revoked, now } = request;
  if (now > issuer.notAfter) {
    throw new WritError('expired', 'The authority whose list was to be signed has expired.');
  }
  const thisUpdate = Math.max(issuer.notBefore, wholeSecond(now - BACKDATING));
  const nextUpdate = Math.min(wholeSecond(now + lifetime * 1000), issuer.notAfter);
  const tbs = encodeTbsCertList({
    algorithm: issuer.algorithm,
    issuer: issuer.name,
    thisUpdate,
    nextUpdate,
    revoked,
    extensions: [
      {
        oid: AUTHORITY_KEY_IDENTIFIER,
        critical: false,
        value: encodeAuthorityKeyIdentifier(issuer.keyIdentifier),
      },
      { oid: CRL_NUMBER, critical: false, value: encodeCrlNumber(number) },
    ],
  });
  const [signature] = await Issuer.signerOf(issuer).sign([tbs]);
  if (signature === undefined) throw new WritError('signer_failed', 'The signer gave no signature.');
  return { der: assembleSigned(tbs, issuer.algorithm, signature), number, thisUpdate, nextUpdate };
}

/**
 * The number of the next list: the time in milliseconds, so that it never goes back although an older backup was
 * restored, or one more than the list before, should the clock stand behind that.
 */
export function nextCrlNumber(last: number | undefined, now: number): number {
  return Math.max((last ?? 0) + 1, now);
}
