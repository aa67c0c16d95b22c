import { newBudget } from '../path/limits.ts';
import { constrainedNames, permits } from '../path/name-constraints.ts';
import type { Lint } from './lint.ts';

/** All names are ones that the issuer's name constraints permit; otherwise no validator would accept them. */
export const namesPermitted: Lint = {
  name: 'names_permitted',
  clause: 'RFC 5280 §4.2.1.10',
  about: 'all',
  check({ tbs, decoded, issuer }) {
    if (issuer?.constraints === undefined) return undefined;
    const names = constrainedNames(tbs.subject, decoded.names);
    return permits(issuer.constraints, names, newBudget())
      ? undefined
      : "has a name that its issuer's name constraints do not permit";
  },
};
