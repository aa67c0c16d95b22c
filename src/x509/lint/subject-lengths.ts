import type { Lint } from './lint.ts';

/** Upper bounds, in characters, of the attributes that our authorities' names are made of. */
const BOUNDS: ReadonlyMap<string, number> = new Map([
  ['2.5.4.3', 64], // CN
  ['2.5.4.10', 64], // O
  ['2.5.4.11', 64], // OU
]);

/** Attributes of names keep the upper bounds of their types. */
export const subjectLengths: Lint = {
  name: 'subject_lengths',
  clause: 'RFC 5280 appendix A.1',
  about: 'all',
  check({ tbs }) {
    for (const rdn of tbs.subject.rdns) {
      for (const { type, text } of rdn) {
        const length = text === undefined ? 0 : [...text].length;
        if (length > (BOUNDS.get(type) ?? 64)) return `has a subject attribute ${type} that is too long`;
      }
    }
    return undefined;
  },
};
