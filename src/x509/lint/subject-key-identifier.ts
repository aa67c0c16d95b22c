import { sameBytes } from '../../der/bytes.ts';
import { keyIdentifier } from '../public-key.ts';
import type { Lint } from './lint.ts';

/** Present, and made from the key as `keyIdentifier` does. Authorities must have it, leaves should. */
export const subjectKeyIdentifier: Lint = {
  name: 'subject_key_identifier',
  clause: 'RFC 5280 §4.2.1.2',
  about: 'all',
  check({ decoded }) {
    const identifier = decoded.subjectKeyIdentifier;
    if (identifier === undefined) return 'has no subject key identifier';
    return sameBytes(identifier, keyIdentifier(decoded.publicKey))
      ? undefined
      : 'has a subject key identifier that is not that of its key';
  },
};
