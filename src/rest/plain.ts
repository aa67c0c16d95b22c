import { WritError } from '../base/error.ts';
import type { Reply, Route } from '../http/route.ts';
import { CERTIFICATE_TYPE, CRL_TYPE } from './media-types.ts';

/** What the plain listener serves: signed documents that a client needs before it can have TLS. */
export interface AuthorityDocuments {
  /** DER of an authority's certificate; undefined when there is none by that id. */
  certificate(authority: string): Promise<Uint8Array | undefined>;
  /** The latest CRL of an authority, with its next update in milliseconds. */
  crl(authority: string): Promise<{ readonly der: Uint8Array; readonly nextUpdate: number } | undefined>;
  now(): number;
}

/** The whole table of the plain HTTP listener (RFC 5280 §4.2.2.1 and §4.2.1.13). */
export function plainRoutes(documents: AuthorityDocuments): Route[] {
  return [
    {
      method: 'GET',
      path: '/ca/{id}.cer',
      access: 'public',
      async handle({ params: [id] }): Promise<Reply> {
        const body = await documents.certificate(id!);
        if (body === undefined) throw notThere();
        return { status: 200, type: CERTIFICATE_TYPE, body, cache: 'public, max-age=31536000, immutable' };
      },
    },
    {
      method: 'GET',
      path: '/crl/{id}.crl',
      access: 'public',
      async handle({ params: [id] }): Promise<Reply> {
        const crl = await documents.crl(id!);
        if (crl === undefined) throw notThere();
        return {
          status: 200,
          type: CRL_TYPE,
          body: crl.der,
          cache: `public, max-age=${secondsUntil(crl.nextUpdate, documents.now())}`,
        };
      },
    },
  ];
}

/** A list may be replaced before its next update, so nobody keeps it longer than an hour. */
function secondsUntil(nextUpdate: number, now: number): number {
  return Math.max(0, Math.min(3600, Math.floor((nextUpdate - now) / 1000)));
}

function notThere(): WritError {
  return new WritError('not_found', 'There is no such document.');
}
