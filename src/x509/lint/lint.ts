import type { TbsCertificate } from '../certificate.ts';
import type { Decoded } from './decoded.ts';
import type { ExpectedProfile, LintIssuer } from './expected.ts';

/** One clause of a standard, or of our profiles, that every certificate we sign must keep. */
export interface Lint {
  /** The file's name with underscores. Stable: it appears in the log. */
  readonly name: string;
  /** Where the rule stands. `Writ profile` is docs/ISSUANCE.md. */
  readonly clause: string;
  /** Which certificates the clause is about. */
  readonly about: 'all' | 'leaf' | 'authority';
  /** What is wrong, as the rest of a sentence that begins "The certificate"; undefined when nothing is. */
  readonly check: (input: LintInput) => string | undefined;
}

/** All that a lint may look at. */
interface LintInput {
  readonly tbs: TbsCertificate;
  readonly decoded: Decoded;
  /** Undefined for a self-signed root. */
  readonly issuer: LintIssuer | undefined;
  readonly expected: ExpectedProfile;
}
