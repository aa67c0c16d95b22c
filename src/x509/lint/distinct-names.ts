import type { Lint } from './lint.ts';

/** No name occurs twice. */
export const distinctNames: Lint = {
  name: 'distinct_names',
  clause: 'Writ profile',
  about: 'all',
  check({ decoded: { names } }) {
    if (names.length < 2) return undefined;
    const seen = new Set(names.map(({ kind, value }) => `${kind} ${kind === 'directory' ? value.raw : value}`));
    return seen.size === names.length ? undefined : 'has a name twice';
  },
};
