import type { Lint } from './lint.ts';

/** digitalSignature must be set, keyCertSign and cRLSign must not. */
export const keyUsageOfLeaf: Lint = {
  name: 'key_usage_of_leaf',
  clause: 'X.509-SVID §4.3',
  about: 'leaf',
  check({ decoded: { keyUsage } }) {
    if (keyUsage === undefined) return 'is a leaf without key usage';
    if (!keyUsage.includes('digitalSignature')) return 'is a leaf whose key may not sign';
    if (keyUsage.includes('keyCertSign')) return 'is a leaf whose key may sign certificates';
    return keyUsage.includes('cRLSign') ? 'is a leaf whose key may sign CRLs' : undefined;
  },
};
