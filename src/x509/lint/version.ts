import type { Lint } from './lint.ts';

/** Extensions need version 3. */
export const version: Lint = {
  name: 'version',
  clause: 'RFC 5280 §4.1.2.1',
  about: 'all',
  check: ({ tbs }) => (tbs.version === 3 ? undefined : 'is not of version 3'),
};
