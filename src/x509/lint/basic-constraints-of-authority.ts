import type { Lint } from './lint.ts';

export const basicConstraintsOfAuthority: Lint = {
  name: 'basic_constraints_of_authority',
  clause: 'RFC 5280 §4.2.1.9',
  about: 'authority',
  check: ({ decoded }) =>
    decoded.basicConstraints?.ca === true ? undefined : 'is an authority without cA in its basic constraints',
};
