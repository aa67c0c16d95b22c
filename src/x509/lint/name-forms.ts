import type { Lint } from './lint.ts';

/** A leaf has a URI, DNS names and IP addresses; an authority its URI alone. */
export const nameForms: Lint = {
  name: 'name_forms',
  clause: 'Writ profile',
  about: 'all',
  check({ decoded: { names }, expected }) {
    for (const { kind } of names) {
      if (kind === 'uri') continue;
      if (expected.kind === 'leaf' && (kind === 'dns' || kind === 'ip')) continue;
      return `has a name of the form ${kind}`;
    }
    return undefined;
  },
};
