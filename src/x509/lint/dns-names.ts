import { isHostName } from '../path/host-name.ts';
import type { Lint } from './lint.ts';

/** DNS names are host names in lower case; a private authority vouches for no wildcard. */
export const dnsNames: Lint = {
  name: 'dns_names',
  clause: 'RFC 5280 §4.2.1.6',
  about: 'all',
  check({ decoded: { names } }) {
    for (const name of names) {
      if (name.kind !== 'dns') continue;
      if (name.value.includes('*')) return 'has a DNS name with a wildcard';
      if (name.value !== name.value.toLowerCase()) return 'has a DNS name with upper-case letters';
      if (!isHostName(name.value)) return 'has a DNS name that is no host name';
    }
    return undefined;
  },
};
