import type { Lint } from './lint.ts';

/** The validity period is not empty. */
export const validityOrder: Lint = {
  name: 'validity_order',
  clause: 'RFC 5280 §4.1.2.5',
  about: 'all',
  check: ({ tbs }) => (tbs.notBefore < tbs.notAfter ? undefined : 'ends before it begins'),
};
