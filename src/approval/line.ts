import { WritError } from '../base/error.ts';

/** Characters of the longest text in somebody's own words. */
const LONGEST_LINE = 512;

/** What somebody says in their own words, for others to read: one line. Throws `bad_request`. */
export function requireLine(text: string, { field, what }: { readonly field: string; readonly what: string }): void {
  if (text.length <= LONGEST_LINE && /^\S[^\p{Cc}\p{Cf}]*$/u.test(text)) return;
  throw new WritError('bad_request', `The ${what} is not one line.`, {
    field,
    remedy: `Say it in at most ${LONGEST_LINE} characters: others read it.`,
  });
}
