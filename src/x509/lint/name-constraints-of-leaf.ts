import type { Lint } from './lint.ts';

/** The extension belongs to authorities alone. */
export const nameConstraintsOfLeaf: Lint = {
  name: 'name_constraints_of_leaf',
  clause: 'RFC 5280 §4.2.1.10',
  about: 'leaf',
  check: ({ decoded }) => (decoded.nameConstraints ? 'is a leaf with name constraints' : undefined),
};
