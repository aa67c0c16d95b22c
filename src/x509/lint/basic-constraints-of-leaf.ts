import type { Lint } from './lint.ts';

/** A leaf says in so many words that it is no authority. */
export const basicConstraintsOfLeaf: Lint = {
  name: 'basic_constraints_of_leaf',
  clause: 'X.509-SVID §4.1',
  about: 'leaf',
  check({ decoded: { basicConstraints } }) {
    if (basicConstraints === undefined) return 'is a leaf without basic constraints';
    return basicConstraints.ca ? 'is a leaf that claims to be an authority' : undefined;
  },
};
