import type { Lint } from './lint.ts';

/** The key purposes are the profile's: none beyond, none missing, none twice. */
export const extendedKeyUsage: Lint = {
  name: 'extended_key_usage',
  clause: 'RFC 5280 §4.2.1.12',
  about: 'all',
  check({ decoded: { purposes = [] }, expected }) {
    const same =
      purposes.length === expected.purposes.length && expected.purposes.every((purpose) => purposes.includes(purpose));
    return same ? undefined : 'has other key purposes than its profile says';
  },
};
