import type { Lint } from './lint.ts';

/** A leaf is named by its SPIFFE ID alone; a subject beside it would be a second, unchecked name. */
export const subjectOfLeaf: Lint = {
  name: 'subject_of_leaf',
  clause: 'Writ profile',
  about: 'leaf',
  check: ({ tbs }) => (tbs.subject.rdns.length === 0 ? undefined : 'is a leaf with a subject name'),
};
