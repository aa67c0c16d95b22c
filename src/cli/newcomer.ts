import type { Item } from './api.ts';
import type { Flag, Input } from './command.ts';
import { parsePairs } from './values.ts';

/** What whoever is let in is given, by a join token as by a registration entry. */
export const NEWCOMER_FLAGS: readonly Flag[] = [
  { name: 'workflow', value: 'name', summary: 'workflow that goes into the certificates' },
  { name: 'scope', value: 'name', summary: 'scope name that goes into the certificates', many: true },
  { name: 'label', value: 'key=value', summary: 'label of the instances it lets in', many: true },
];

/** The same as a request says it, without what was not asked for. Throws `bad_request` for a label that is none. */
export function newcomerWishes(input: Input): Item {
  const workflow = input.flag('workflow');
  const scopes = input.flags('scope');
  const labels = parsePairs(input.flags('label'), 'label');
  return {
    ...(workflow !== undefined && { workflow }),
    ...(scopes.length > 0 && { scopes }),
    ...(Object.keys(labels).length > 0 && { labels }),
  };
}
