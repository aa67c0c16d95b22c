import { isWritError } from '../../base/error.ts';
import { type SignatureAlgorithm, verifySignature } from '../algorithm.ts';
import type { PublicKey } from '../public-key.ts';
import type { Budget } from './limits.ts';

/** What certificates and revocation lists have in common. */
interface Signed {
  readonly tbs: Uint8Array;
  readonly signatureAlgorithm: SignatureAlgorithm;
  readonly signature: Uint8Array;
}

/** Did that key sign this? A key that cannot exist has signed nothing. */
export function isSignedWith(key: PublicKey, { tbs, signatureAlgorithm, signature }: Signed, budget: Budget): boolean {
  budget.spend('signatures');
  try {
    return verifySignature(signatureAlgorithm, key, tbs, signature);
  } catch (error) {
    if (isWritError(error, 'bad_certificate')) return false;
    throw error;
  }
}
