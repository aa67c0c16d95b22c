import type { Lint } from './lint.ts';

/** The fields issuerUniqueID and subjectUniqueID are not written any more. */
export const uniqueIdentifiers: Lint = {
  name: 'unique_identifiers',
  clause: 'RFC 5280 §4.1.2.8',
  about: 'all',
  check: ({ tbs }) => (tbs.hasUniqueIds ? 'holds a unique identifier' : undefined),
};
