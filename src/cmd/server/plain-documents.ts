import type { Clock } from '../../base/clock.ts';
import type { Reader } from '../../db/database.ts';
import type { AuthorityDocuments } from '../../rest/plain.ts';

/** Certificates and revocation lists of authorities, as the plain listener serves them. */
export function authorityDocuments(reader: Reader, clock: Clock): AuthorityDocuments {
  return {
    async certificate(authority) {
      const row = await reader.get('SELECT certificate FROM authority WHERE id = ?', [authority]);
      return row?.['certificate'] as Uint8Array | undefined;
    },
    async crl(authority) {
      const row = await reader.get('SELECT crl, next_update FROM authority_crl WHERE authority = ?', [authority]);
      return row === undefined
        ? undefined
        : { der: row['crl'] as Uint8Array, nextUpdate: row['next_update'] as number };
    },
    now: clock.now,
  };
}
