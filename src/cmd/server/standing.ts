import { WritError } from '../../base/error.ts';
import { EpochCache } from '../../db/epoch-cache.ts';
import type { Standing as ClientStanding } from '../../http/client-cert.ts';
import { CertificateStatus } from '../../revocation/status.ts';
import type { ThreadParts } from './thread-parts.ts';

/** Instances whose standing one thread keeps in memory. */
const REMEMBERED = 50_000;

/** Whether the certificate of a caller holds at this moment, for each request anew. */
export function certificateStanding({ reader, certificates, epoch, clock }: ThreadParts): ClientStanding {
  const standings = new EpochCache<never>(epoch, REMEMBERED);
  const status = new CertificateStatus({ reader, certificates, epoch, standings, clock });
  return async (caller) => {
    const answer = await status.of(caller.serial!);
    switch (answer.state) {
      case 'good':
        return undefined;
      case 'revoked':
      case 'inactive':
      case 'expired':
        return new WritError(answer.state, answer.message, { remedy: 'Enrol again, or ask an operator.' });
      case 'unknown':
        return new WritError('unavailable', answer.message, { remedy: 'Repeat the request in a moment.' });
    }
  };
}
