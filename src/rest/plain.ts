import { WritError } from '../base/error.ts';
import type { Reply, Route } from '../http/route.ts';
import { CERTIFICATE_TYPE, CRL_TYPE } from './media-types.ts';

/** A revocation list. */
export interface ListDocument {
  readonly der: Uint8Array;
  /** Another list has another. */
  readonly number: number;
  /** Milliseconds. */
  readonly thisUpdate: number;
  readonly nextUpdate: number;
  /** Seconds that others may keep it at most. */
  readonly keep: number;
}

/** What the plain listener serves: signed documents that a client needs before it can have TLS. */
export interface AuthorityDocuments {
  /** DER of an authority's certificate; undefined when there is none by that id. */
  certificate(authority: string): Promise<Uint8Array | undefined>;
  /** The latest list about all that an authority signed. */
  crl(authority: string): Promise<ListDocument | undefined>;
  /** The latest list of a shard, and its delta. */
  shard(id: string): Promise<ListDocument | undefined>;
  delta(id: string): Promise<ListDocument | undefined>;
  now(): number;
}

/** Certificates and lists on the plain HTTP listener (RFC 5280 §4.2.2.1 and §4.2.1.13). */
export function plainRoutes(documents: AuthorityDocuments): Route[] {
  const list = (path: string, find: (id: string) => Promise<ListDocument | undefined>): Route => ({
    method: 'GET',
    path,
    access: 'public',
    handle: async ({ params: [id] }) => listReply(await find(id!), documents.now()),
  });
  return [
    {
      method: 'GET',
      path: '/ca/{id}.cer',
      access: 'public',
      async handle({ params: [id] }): Promise<Reply> {
        const body = await documents.certificate(id!);
        if (body === undefined) throw notThere();
        const cache = 'public, max-age=31536000, immutable';
        // An id names one certificate for ever.
        return { status: 200, type: CERTIFICATE_TYPE, body, cache, etag: `"${id}"` };
      },
    },
    list('/crl/{id}.crl', documents.crl),
    list('/crl/shard/{id}.crl', documents.shard),
    list('/crl/delta/{id}.crl', documents.delta),
  ];
}

/** Nobody gets a list whose time is past: a relying party would take it for an attack, or, worse, would not notice. */
function listReply(list: ListDocument | undefined, now: number): Reply {
  if (list === undefined) throw notThere();
  const left = Math.floor((list.nextUpdate - now) / 1000);
  if (left <= 0) {
    throw new WritError('unavailable', 'The list has ended, and there is no newer one.', {
      remedy: 'See "writ ca due" on the server’s machine.',
    });
  }
  const cache = `public, max-age=${Math.min(list.keep, left)}`;
  // For people and logs. Two lists may bear one time; the tag alone says that a list is the same.
  const headers = ['Last-Modified', new Date(list.thisUpdate).toUTCString()];
  return { status: 200, type: CRL_TYPE, body: list.der, cache, etag: `"${list.number}"`, headers };
}

function notThere(): WritError {
  return new WritError('not_found', 'There is no such document.');
}
