import { parseSpiffeId } from '../../spiffe-id/spiffe-id.ts';
import type { Lint } from './lint.ts';

/** A SPIFFE ID of this trust domain, with a path. */
export const spiffeIdOfLeaf: Lint = {
  name: 'spiffe_id_of_leaf',
  clause: 'X.509-SVID §3.1',
  about: 'leaf',
  check({ decoded: { names }, expected }) {
    for (const name of names) {
      if (name.kind !== 'uri') continue;
      try {
        const id = parseSpiffeId(name.value);
        if (id.trustDomain !== expected.trustDomain) return 'has a SPIFFE ID of another trust domain';
        if (id.segments.length === 0) return 'is a leaf whose SPIFFE ID has no path';
      } catch {
        return 'has a URI that is no SPIFFE ID';
      }
    }
    return undefined;
  },
};
