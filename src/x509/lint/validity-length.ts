import type { Lint } from './lint.ts';

/** The validity period is no longer than the profile allows. */
export const validityLength: Lint = {
  name: 'validity_length',
  clause: 'Writ profile',
  about: 'all',
  check({ tbs, expected }) {
    return tbs.notAfter - tbs.notBefore <= expected.maxValidity ? undefined : 'lives longer than its profile allows';
  },
};
