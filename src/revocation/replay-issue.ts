import { formatSerial } from '../ca/certificate/serial.ts';
import { insertShard } from '../ca/crl/shard.ts';
import { type CertificateRow, insertCertificate, readCertificate } from '../ca/index/certificates.ts';
import { recordedCertificate } from '../ca/index/recorded.ts';
import type { Batch } from '../db/batch.ts';
import type { PartitionMap } from '../db/partition-map.ts';
import type { RecordedEvent } from '../ledger/entry.ts';

/**
 * Gives a certificate that Writ issued to itself its row again: the anchor keeps those entries, because servers and
 * responders get theirs unasked, and a backup that lacks nothing but them and revocations is no loss. `place`: which event
 * of its batch it is. `issued` learns of it, by serial number in hex: nobody can read the row yet.
 */
export async function replayIssue(
  { body, leaf }: RecordedEvent,
  place: number,
  batch: Batch,
  map: PartitionMap,
  issued: Map<string, CertificateRow>,
): Promise<void> {
  const certificate = recordedCertificate(body);
  if (typeof certificate === 'string' || (await readCertificate(map, certificate.serial)) !== undefined) return;
  const { issuer, issuedAt, shard } = certificate;
  if (shard !== undefined) insertShard(batch, { id: shard, issuer, createdAt: issuedAt });
  insertCertificate(batch, certificate, place);
  issued.set(formatSerial(certificate.serial), { ...certificate, leaf });
}
