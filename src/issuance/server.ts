import type { Caller } from '../base/access.ts';
import { serverId } from '../spiffe-id/subject.ts';
import { issueCertificate } from './issue.ts';
import type { IssuedCertificate } from './issued.ts';
import { profileNamed } from './operator.ts';
import { anchorOwn } from './own.ts';
import type { IssuanceParts } from './parts.ts';
import type { CertificateRequest } from './request.ts';

/**
 * A certificate for Writ's own servers. The names in `request.wish` are those under which clients reach them. Nobody but
 * Writ itself (`system`) gets past the guard.
 */
export function issueServerCertificate(
  caller: Caller,
  request: CertificateRequest,
  parts: IssuanceParts,
): Promise<IssuedCertificate> {
  const { csr, wish = {}, idempotency } = request;
  return issueCertificate(
    {
      caller,
      action: 'certificate.issue',
      event: 'certificate.issued',
      csr,
      wish,
      idempotency,
      holder: async () => ({
        kind: 'server',
        name: 'server',
        id: serverId(parts.trustDomain),
        ...profileNamed('server', parts.authority),
        keyHolder: 'server',
        resource: { type: 'Installation', id: 'writ' },
        facts: {},
        context: { scopes: [] },
        subjects: ['server:server'],
        hasPrevious: false,
        record() {},
      }),
      also: anchorOwn,
    },
    parts,
  );
}
