import type { Lint } from './lint.ts';

/** The path of a SPIFFE ID (SPIFFE-ID §2.2): segments of letters, digits, `.`, `-` and `_`, none of them `.` or `..`. */
const PATH = /^(?:\/(?!\.{1,2}(?:\/|$))[a-zA-Z0-9._-]+)+$/;
const LONGEST = 2048;

/** A SPIFFE ID of this trust domain, with a path. */
export const spiffeIdOfLeaf: Lint = {
  name: 'spiffe_id_of_leaf',
  clause: 'X.509-SVID §3.1',
  about: 'leaf',
  check({ decoded: { names }, expected }) {
    const root = `spiffe://${expected.trustDomain}`;
    for (const { kind, value } of names) {
      if (kind !== 'uri') continue;
      if (!value.startsWith(root)) return 'has a URI that is no SPIFFE ID of its trust domain';
      if (value === root) return 'is a leaf whose SPIFFE ID has no path';
      if (value.length > LONGEST || !PATH.test(value.slice(root.length))) return 'has a URI that is no SPIFFE ID';
    }
    return undefined;
  },
};
