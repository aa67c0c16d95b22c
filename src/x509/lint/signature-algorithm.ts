import { keyAlgorithmOf } from '../algorithm.ts';
import type { Lint } from './lint.ts';

/** The algorithm that is signed is the one that the issuer's key signs with. */
export const signatureAlgorithm: Lint = {
  name: 'signature_algorithm',
  clause: 'RFC 5280 §4.1.2.3',
  about: 'all',
  check({ tbs, issuer, decoded }) {
    const signer = issuer === undefined ? decoded.publicKey : issuer.publicKey;
    return keyAlgorithmOf(tbs.signatureAlgorithm) === signer.algorithm
      ? undefined
      : "names a signature algorithm that is not one of the issuer's key";
  },
};
