import type { Caller } from '../../base/access.ts';
import { demand } from '../../base/demand.ts';
import { endAuthority, requireOpen } from '../../ca/domain/domain.ts';
import { pushDomainList } from '../../ca/domain/list.ts';
import { openDomainAuthority, recordDomain } from '../../ca/domain/make.ts';
import { newBatch } from '../../db/batch.ts';
import { committed } from '../../db/committed.ts';
import { type DomainParts, INSTALLATION, known, meansOf, type ShownDomain, stateOf } from './parts.ts';

/**
 * Ends a further trust domain: its keys are deleted. What was signed lives on until it expires, and the last lists, which are
 * signed first, are good for as long. Throws `denied`, `not_found`, `conflict`.
 */
export async function closeDomain(caller: Caller, trustDomain: string, parts: DomainParts): Promise<ShownDomain> {
  demand(parts.authorize, {
    ...{ caller, action: 'domain.close', resource: INSTALLATION },
    context: { trustDomain },
  });
  const { reader, keyring } = parts;
  const { domain, authorities, lists } = await stateOf(trustDomain, parts);
  if (domain.state === 'closed') return { domain, authorities };
  const means = meansOf(parts, caller.id);
  const batch = newBatch();
  requireOpen(batch, domain, 'conflict');
  batch.writes.push({ sql: "UPDATE domain SET state = 'closed' WHERE trust_domain = ?", params: [trustDomain] });
  for (const one of authorities.filter(({ kind, state }) => kind !== 'subordinate' && state !== 'ended')) {
    if (one.certificate.notAfter > means.now) {
      const opened = await openDomainAuthority(reader, keyring, one);
      await pushDomainList(batch, opened, { authorities, lists, last: true }, means);
    }
    endAuthority(batch, keyring, one);
  }
  recordDomain(batch, 'domain.closed', domain, { caller: caller.id });
  // No older backup brings the keys back.
  batch.anchored = true;
  batch.bumpsEpoch = true;
  committed(await parts.commit(batch));
  return known(trustDomain, parts);
}
