import { WritError } from '../../base/error.ts';
import { assembleCertificate } from '../../x509/tbs-certificate.ts';
import { Issuer } from '../issuer.ts';
import { type Prepared, redeem, type Validity } from './token.ts';

/** A certificate as it was signed. Nobody may see it before its entry in the ledger is durable. */
export interface SignedCertificate extends Validity {
  /** Content octets of the serial number. */
  readonly serial: Uint8Array;
  /** DER of the certificate. */
  readonly der: Uint8Array;
  /** Id of the authority that signed it. */
  readonly issuer: string;
}

/**
 * Signs what was prepared for this issuer, once. Nothing else in the product signs a certificate. Rejects with
 * `signer_failed` when the key cannot be used; the token is spent then, too.
 */
export async function signCertificate(issuer: Issuer, token: Prepared): Promise<SignedCertificate> {
  const tbs = redeem(token, issuer);
  const [signature] = await Issuer.signerOf(issuer).sign([tbs]);
  if (signature === undefined) throw new WritError('signer_failed', 'The signer gave no signature.');
  return {
    serial: token.serial,
    issuedAt: token.issuedAt,
    expiresAt: token.expiresAt,
    der: assembleCertificate(tbs, issuer.algorithm, signature),
    issuer: issuer.id,
  };
}
