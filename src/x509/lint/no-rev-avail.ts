import { ACCESS_OCSP } from '../extensions/authority-info-access.ts';
import type { Lint } from './lint.ts';

/** Never in an authority's certificate, never beside a pointer to a CRL or OCSP. */
export const noRevAvail: Lint = {
  name: 'no_rev_avail',
  clause: 'RFC 9608 §3',
  about: 'all',
  check({ decoded, expected }) {
    if (!decoded.noRevAvail) return undefined;
    if (expected.kind === 'authority') return 'is an authority with noRevAvail';
    if (decoded.distributionPoints) return 'has noRevAvail beside CRL distribution points';
    return decoded.access?.some(({ method }) => method === ACCESS_OCSP)
      ? 'has noRevAvail beside an OCSP responder'
      : undefined;
  },
};
