import { ANY_POLICY } from '../extensions/certificate-policies.ts';
import type { Lint } from './lint.ts';

/** No qualifiers, which RFC 5280 advises against, and no anyPolicy in a leaf. */
export const certificatePolicies: Lint = {
  name: 'certificate_policies',
  clause: 'RFC 5280 §4.2.1.4',
  about: 'all',
  check({ decoded: { policies = [] }, expected }) {
    for (const { policy, qualifiers } of policies) {
      if (qualifiers.length > 0) return 'has a certificate policy with qualifiers';
      if (policy === ANY_POLICY && expected.kind === 'leaf') return 'is a leaf with anyPolicy';
    }
    return undefined;
  },
};
