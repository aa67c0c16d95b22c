import type { Lint } from './lint.ts';

/** Only an authority has one, it is the profile's, and it leaves less room than the issuer's. */
export const pathLength: Lint = {
  name: 'path_length',
  clause: 'RFC 5280 §4.2.1.9',
  about: 'all',
  check({ decoded, issuer, expected }) {
    const own = decoded.basicConstraints?.pathLength;
    if (own !== expected.pathLength) return 'has another path length than its profile says';
    const above = issuer?.basicConstraints?.pathLength;
    if (expected.kind === 'leaf' || above === undefined) return undefined;
    return own !== undefined && own < above ? undefined : "does not keep within its issuer's path length";
  },
};
