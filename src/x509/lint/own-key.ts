import { sameBytes } from '../../der/bytes.ts';
import type { Lint } from './lint.ts';

/** No subject gets a certificate for its issuer's key: it would be a second name for the authority. */
export const ownKey: Lint = {
  name: 'own_key',
  clause: 'Writ profile',
  about: 'all',
  check({ tbs, issuer }) {
    return issuer !== undefined && sameBytes(tbs.spki, issuer.certificate.spki)
      ? "holds its issuer's own key"
      : undefined;
  },
};
