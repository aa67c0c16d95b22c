import type { Lint } from './lint.ts';

/** Exactly one URI: validators reject a certificate that could be two identities. */
export const singleUri: Lint = {
  name: 'single_uri',
  clause: 'X.509-SVID §2',
  about: 'all',
  check({ decoded: { names } }) {
    let uris = 0;
    for (const { kind } of names) if (kind === 'uri') uris++;
    return uris === 1 ? undefined : `has ${uris} URIs among its names, not one`;
  },
};
