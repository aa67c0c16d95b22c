import type { Lint } from './lint.ts';

/** What it signs carries its subject as issuer, which must not be empty. */
export const subjectOfAuthority: Lint = {
  name: 'subject_of_authority',
  clause: 'RFC 5280 §4.1.2.6',
  about: 'authority',
  check: ({ tbs }) => (tbs.subject.rdns.length > 0 ? undefined : 'is an authority without a subject name'),
};
