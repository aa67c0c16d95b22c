import type { Lint } from './lint.ts';

/** Every authority is confined: to URIs of the trust domain, and as to DNS names, addresses and mailboxes. */
export const nameConstraintsOfAuthority: Lint = {
  name: 'name_constraints_of_authority',
  clause: 'Writ profile',
  about: 'authority',
  check({ decoded: { nameConstraints }, expected }) {
    if (nameConstraints === undefined) return 'is an authority without name constraints';
    const { permitted, excluded } = nameConstraints;
    const uris = permitted.filter(({ kind }) => kind === 'uri');
    if (uris.length !== 1 || uris[0]!.value !== expected.trustDomain) {
      return 'is an authority whose permitted URIs are not those of its trust domain';
    }
    for (const form of ['dns', 'ip', 'email']) {
      if (![...permitted, ...excluded].some(({ kind }) => kind === form)) {
        return `is an authority that is not confined in names of the form ${form}`;
      }
    }
    return undefined;
  },
};
