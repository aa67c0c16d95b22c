import { sha256 } from '../base/sha256.ts';
import { insertDomainAuthority, markRevoked } from '../ca/domain/domain.ts';
import { blocksKey, type Cause } from '../ca/revocation-cause.ts';
import type { Batch } from '../db/batch.ts';
import type { RecordedEvent } from '../ledger/entry.ts';
import { blockKey } from '../registry/key-in-use.ts';
import type { TrustDomain } from '../spiffe-id/trust-domain.ts';
import { parseCertificate } from '../x509/certificate.ts';

/**
 * What was revoked of a further trust domain, or given up, stays so, whatever an older backup says. One that the backup does not
 * know comes back as it was; what is to follow it, and the lists, are made at the next start.
 */
export function replayDomain({ type, body, time }: RecordedEvent, at: number, batch: Batch): void {
  const id = String(body['authority']);
  if (type === 'domain.closed') {
    replayClosed(String(body['trust_domain']), batch);
    return;
  }
  if (type === 'domain.revoked') {
    const certificate = parseCertificate(new Uint8Array(Buffer.from(String(body['certificate']), 'base64url')));
    const cause = String(body['cause']) as Cause;
    insertDomainAuthority(batch, {
      ...{ id, trustDomain: String(body['trust_domain']) as TrustDomain, state: 'ended' },
      kind: body['kind'] === 'intermediate' ? 'intermediate' : 'subordinate',
      certificate,
      ...(body['issuer'] === undefined ? {} : { issuer: String(body['issuer']) }),
      ...{ createdAt: time, createdBy: String(body['caller']) },
    });
    markRevoked(batch, id, { at, cause });
    if (blocksKey(cause)) blockKey(batch, sha256(certificate.spki));
  }
  batch.writes.push(
    { sql: "UPDATE domain_authority SET state = 'ended' WHERE id = ?", params: [id] },
    { sql: 'DELETE FROM sealed_key WHERE id = ?', params: [id] },
  );
  if (body['sequence'] === undefined) return;
  // What this database publishes is not what was published under that number: it gets a higher one.
  const sequence = Number(body['sequence']);
  batch.writes.push({
    sql: 'UPDATE domain SET sequence = ? WHERE trust_domain = ? AND sequence <= ?',
    params: [sequence + 1, String(body['trust_domain']), sequence],
  });
}

function replayClosed(trustDomain: string, batch: Batch): void {
  const above = "FROM domain_authority WHERE trust_domain = ? AND kind <> 'subordinate'";
  batch.writes.push(
    { sql: "UPDATE domain SET state = 'closed' WHERE trust_domain = ?", params: [trustDomain] },
    { sql: `DELETE FROM sealed_key WHERE id IN (SELECT id ${above})`, params: [trustDomain] },
    {
      sql: "UPDATE domain_authority SET state = 'ended' WHERE trust_domain = ? AND kind <> 'subordinate'",
      params: [trustDomain],
    },
  );
}
