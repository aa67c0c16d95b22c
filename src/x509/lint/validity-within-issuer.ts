import type { Lint } from './lint.ts';

/** Nothing outlives what it hangs on (DESIGN: authority only narrows), nor begins before it. */
export const validityWithinIssuer: Lint = {
  name: 'validity_within_issuer',
  clause: 'Writ profile',
  about: 'all',
  check({ tbs, issuer }) {
    if (issuer === undefined) return undefined;
    if (tbs.notBefore < issuer.certificate.notBefore) return 'begins before its issuer does';
    return tbs.notAfter <= issuer.certificate.notAfter ? undefined : 'outlives its issuer';
  },
};
