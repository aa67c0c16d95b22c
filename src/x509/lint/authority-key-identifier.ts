import { sameBytes } from '../../der/bytes.ts';
import type { Lint } from './lint.ts';

/** Present, but in a root, where it may be left out; equal to the issuer's subject key identifier. */
export const authorityKeyIdentifier: Lint = {
  name: 'authority_key_identifier',
  clause: 'RFC 5280 §4.2.1.1',
  about: 'all',
  check({ decoded, issuer }) {
    const identifier = decoded.authorityKeyIdentifier?.keyIdentifier;
    if (identifier === undefined) {
      return issuer === undefined && decoded.authorityKeyIdentifier === undefined
        ? undefined
        : 'has no authority key identifier';
    }
    const due = issuer === undefined ? decoded.subjectKeyIdentifier : issuer.keyIdentifier;
    return due === undefined || sameBytes(identifier, due)
      ? undefined
      : "has an authority key identifier that is not the issuer's";
  },
};
