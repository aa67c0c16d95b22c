import { ServedLists } from '../../ca/crl/served.ts';
import { readCrl } from '../../ca/hierarchy.ts';
import type { AuthorityDocuments, ListDocument } from '../../rest/plain.ts';
import { listParts } from './list-upkeep.ts';
import type { ThreadParts } from './thread-parts.ts';

/** Seconds that others may keep a list: it can be signed anew at any time. */
const SOON = 60;
/** Milliseconds that somebody waits who asks before the list of an authority is signed: at the first start, and after a long sleep. */
const WAIT = 3000;

/** Certificates of authorities and revocation lists, as the plain listener serves them. */
export function authorityDocuments(parts: ThreadParts): AuthorityDocuments {
  const { reader, clock } = parts;
  const lists = new ServedLists(listParts(parts));
  return {
    async certificate(authority) {
      const row =
        (await reader.get('SELECT certificate FROM authority WHERE id = ?', [authority])) ??
        (await reader.get('SELECT certificate FROM domain_authority WHERE id = ?', [authority]));
      return row?.['certificate'] as Uint8Array | undefined;
    },
    async crl(authority) {
      const list = await readCrl(reader, authority);
      if (list === undefined) return documentOf(await lists.authority(authority, WAIT), 'crl');
      const { der, number, thisUpdate, nextUpdate } = list;
      return { der, number, thisUpdate, nextUpdate, keep: SOON };
    },
    shard: async (id) => documentOf(await lists.shard(id), 'crl'),
    delta: async (id) => documentOf(await lists.shard(id), 'delta'),
    now: clock.now,
  };
}

function documentOf(list: Awaited<ReturnType<ServedLists['shard']>>, which: 'crl' | 'delta'): ListDocument | undefined {
  const der = list?.[which];
  if (list === undefined || der === undefined) return undefined;
  const { number, thisUpdate, nextUpdate } = list;
  return { der, number, thisUpdate, nextUpdate, keep: SOON };
}
