import { sameBytes } from '../../der/bytes.ts';
import type { Lint } from './lint.ts';

/** The issuer field is the issuer's subject, octet by octet, so that no validator need compare names in another way. */
export const issuerName: Lint = {
  name: 'issuer_name',
  clause: 'RFC 5280 §4.1.2.4',
  about: 'all',
  check({ tbs, issuer }) {
    const subject = issuer === undefined ? tbs.subject : issuer.certificate.subject;
    if (tbs.issuer.rdns.length === 0) return 'has an empty issuer name';
    return sameBytes(tbs.issuer.raw, subject.raw) ? undefined : "has an issuer name that is not the issuer's subject";
  },
};
