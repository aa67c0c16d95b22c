import type { Lint } from './lint.ts';

/** keyCertSign must be set; cRLSign as well, since each of our authorities signs the CRL of what it issued. */
export const keyUsageOfAuthority: Lint = {
  name: 'key_usage_of_authority',
  clause: 'RFC 5280 §4.2.1.3',
  about: 'authority',
  check({ decoded: { keyUsage } }) {
    if (keyUsage === undefined) return 'is an authority without key usage';
    if (!keyUsage.includes('keyCertSign')) return 'is an authority whose key may not sign certificates';
    if (!keyUsage.includes('cRLSign')) return 'is an authority whose key may not sign CRLs';
    return keyUsage.length > 2 ? 'is an authority whose key may do more than sign certificates and CRLs' : undefined;
  },
};
