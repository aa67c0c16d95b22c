import { EpochCache } from '../../db/epoch-cache.ts';
import type { Standing as ClientStanding } from '../../http/client-cert.ts';
import type { Standing } from '../../registry/standing.ts';
import { CertificateStatus } from '../../revocation/status.ts';
import type { ThreadParts } from './thread-parts.ts';

/** Instances whose standing one thread keeps in memory. */
const REMEMBERED = 50_000;

/** Whether the certificate of a caller holds at this moment, for each request anew. */
export function certificateStanding({ reader, certificates, epoch, clock }: ThreadParts): ClientStanding {
  const standings = new EpochCache<Standing>(epoch, REMEMBERED);
  return new CertificateStatus({ reader, certificates, epoch, standings, clock }).standingOf;
}
