import type { Flag, Input } from './command.ts';

export const EVIDENCE_FLAG: Flag = {
  name: 'evidence',
  value: 'url',
  summary: 'link to what this rests on; it stands in the ledger',
};

/** The member of a request's body; none without the flag. */
export function evidenceOf(input: Input): { readonly evidence?: string } {
  const evidence = input.flag('evidence');
  return evidence === undefined ? {} : { evidence };
}
