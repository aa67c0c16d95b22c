import type { Lint } from './lint.ts';

/** An extension that Writ does not know is not written; a critical one would make every validator refuse. */
export const knownExtensions: Lint = {
  name: 'known_extensions',
  clause: 'RFC 5280 §4.2',
  about: 'all',
  check({ decoded: { unknown } }) {
    const [first] = unknown;
    if (first === undefined) return undefined;
    return `has the ${first.critical ? 'critical ' : ''}extension ${first.oid}, which no profile uses`;
  },
};
