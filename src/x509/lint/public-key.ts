import type { Lint } from './lint.ts';

/** The subject's key is of a kind that the profile takes. Its encoding was checked when it was decoded. */
export const publicKey: Lint = {
  name: 'public_key',
  clause: 'Writ profile',
  about: 'all',
  check({ decoded, expected }) {
    return expected.keys.includes(decoded.publicKey.algorithm)
      ? undefined
      : `holds a key of kind ${decoded.publicKey.algorithm}, which its profile does not take`;
  },
};
