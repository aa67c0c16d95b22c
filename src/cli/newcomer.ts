import { type Api, type Item, kindOf } from './api.ts';
import type { Flag, Input, Terminal } from './command.ts';
import { needed } from './input.ts';
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

/**
 * Makes what lets instances of an agent or service in, which the command line names; undefined where `--dry-run` has said
 * what would be made. `wishes` is the rest of the request, `what` what it is called.
 */
export async function makeFor(
  { input, terminal, api }: { readonly input: Input; readonly terminal: Terminal; readonly api: Api },
  { route, what, wishes }: { readonly route: string; readonly what: string; readonly wishes: Item },
): Promise<Item | undefined> {
  const name = needed(input, 'name');
  const body = { [await kindOf(api, name)]: name, ...wishes };
  if (!input.dryRun) return api.post(route, body);
  terminal.result({ would: 'create', body }, `Would create ${what}:\n${JSON.stringify(body, undefined, 2)}`);
  return undefined;
}
