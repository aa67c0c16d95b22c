import type { Lint } from './lint.ts';

/** The SPIFFE ID of this trust domain itself, without a path. */
export const spiffeIdOfAuthority: Lint = {
  name: 'spiffe_id_of_authority',
  clause: 'X.509-SVID §3.2',
  about: 'authority',
  check({ decoded: { names }, expected }) {
    for (const name of names) {
      if (name.kind === 'uri' && name.value !== `spiffe://${expected.trustDomain}`) {
        return 'is an authority whose URI is not the SPIFFE ID of its trust domain';
      }
    }
    return undefined;
  },
};
