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
    try {
      const names = constrainedNames(tbs.subject, decoded.names);
      if (permits(issuer.constraints, names, newBudget())) return undefined;
    } catch {
      return "has a name that cannot be compared with its issuer's name constraints";
    }
    return "has a name that its issuer's name constraints do not permit";
  },
};
