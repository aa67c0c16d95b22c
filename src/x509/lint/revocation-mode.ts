import { ACCESS_OCSP } from '../extensions/authority-info-access.ts';
import type { Lint } from './lint.ts';

/** RFC 9608 §1 speaks of short-lived certificates; for Writ that is five minutes, and the allowance for slow clocks. */
const EPHEMERAL = 330_000;

/**
 * A leaf either names both its revocation list and its responder, or says that neither exists and is over before anybody
 * could have read one.
 */
export const revocationMode: Lint = {
  name: 'revocation_mode',
  clause: 'RFC 9608 §4, RFC 5280 §4.2.1.13',
  about: 'leaf',
  check({ tbs, decoded, expected: { revocation } }) {
    const responder = decoded.access?.some(({ method }) => method === ACCESS_OCSP) === true;
    if (revocation === 'ephemeral') {
      if (!decoded.noRevAvail) return 'is ephemeral without noRevAvail';
      if (decoded.distributionPoints || responder) return 'is ephemeral and names where its status is published';
      return tbs.notAfter - tbs.notBefore > EPHEMERAL ? 'is ephemeral and lives longer than five minutes' : undefined;
    }
    if (revocation === 'revocable') {
      if (decoded.noRevAvail) return 'is revocable with noRevAvail';
      if (decoded.distributionPoints?.length !== 1) return 'is revocable without one CRL distribution point';
      return responder ? undefined : 'is revocable without an OCSP responder';
    }
    return undefined;
  },
};
