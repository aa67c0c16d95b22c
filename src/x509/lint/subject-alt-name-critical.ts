import { findExtension } from '../extension.ts';
import { SUBJECT_ALT_NAME } from '../extensions/subject-alt-name.ts';
import type { Lint } from './lint.ts';

/** Critical when the subject is empty, not critical otherwise. */
export const subjectAltNameCritical: Lint = {
  name: 'subject_alt_name_critical',
  clause: 'RFC 5280 §4.2.1.6',
  about: 'all',
  check({ tbs }) {
    const extension = findExtension(tbs.extensions, SUBJECT_ALT_NAME);
    if (extension === undefined) return 'has no subject alternative name';
    const due = tbs.subject.rdns.length === 0;
    if (extension.critical === due) return undefined;
    return due
      ? 'has an empty subject and a subject alternative name that is not critical'
      : 'has a subject and a critical subject alternative name';
  },
};
