import type { Caller } from '../../base/access.ts';
import { demand } from '../../base/demand.ts';
import { WritError } from '../../base/error.ts';
import type { EntryCache } from './cache.ts';
import { type EntryParts, type ShownEntry, shownEntry } from './manage.ts';

/** How many entries one page holds at most. */
const OWN_ENTRIES_A_PAGE = 1000;

export interface OwnEntries {
  readonly revision: number;
  readonly entries: readonly ShownEntry[];
  /** Where the next page begins. */
  readonly next?: string;
}

/**
 * The entries by which the caller, an instance of a service, lets workloads in: one page of them. Throws `denied`.
 */
export async function showOwnEntries(
  caller: Caller,
  { after = '' }: { readonly after?: string },
  parts: Pick<EntryParts, 'authorize' | 'registered'> & { readonly entries: EntryCache },
): Promise<OwnEntries> {
  const { node } = await requireNode(caller, parts);
  const { revision, entries: all } = await parts.entries.read({ node });
  const from = after === '' ? 0 : all.findIndex(({ id }) => id > after);
  const page = from < 0 ? [] : all.slice(from, from + OWN_ENTRIES_A_PAGE);
  const kinds = new Map<string, Promise<ShownEntry['kind']>>();
  const entries = await Promise.all(
    page.map(async (entry) => {
      const known = kinds.get(entry.agent) ?? shownEntry(entry, parts).then(({ kind }) => kind);
      kinds.set(entry.agent, known);
      return { ...entry, kind: await known };
    }),
  );
  return { revision, entries, ...(from >= 0 && from + page.length < all.length ? { next: page.at(-1)!.id } : {}) };
}

/** The service that the caller is an instance of, which may know its own entries. Throws `denied`. */
export async function requireNode(
  caller: Caller,
  { registered, authorize }: Pick<EntryParts, 'authorize' | 'registered'>,
): Promise<{ readonly node: string; readonly instance: string }> {
  const { agent: node, instance } = caller;
  const service = node === undefined ? undefined : await registered.agent(node);
  if (node === undefined || instance === undefined || service?.kind !== 'service') {
    throw new WritError('denied', 'Nodes alone, the instances of a service, have entries and callers of their own.', {
      remedy: 'Ask with the certificate of an instance of the service, or use "writ entry list".',
    });
  }
  demand(authorize, { caller, action: 'entry.read', resource: service.resource, context: { own: true } });
  return { node, instance };
}
