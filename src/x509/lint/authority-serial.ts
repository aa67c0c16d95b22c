import type { Lint } from './lint.ts';

/** Issuer and serial number of the issuer are left out: they would tie a leaf to one of several cross-certificates. */
export const authoritySerial: Lint = {
  name: 'authority_serial',
  clause: 'Writ profile',
  about: 'all',
  check({ decoded: { authorityKeyIdentifier } }) {
    return authorityKeyIdentifier?.serial === undefined
      ? undefined
      : "names its issuer's serial number in the authority key identifier";
  },
};
