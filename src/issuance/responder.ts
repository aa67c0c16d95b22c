import type { Caller } from '../base/access.ts';
import type { Issuer } from '../ca/issuer.ts';
import { RESPONDER_PROFILE } from '../ca/ocsp/prepare.ts';
import { responderId } from '../spiffe-id/subject.ts';
import { issueCertificate } from './issue.ts';
import type { IssuedCertificate } from './issued.ts';
import { anchorOwn } from './own.ts';
import type { IssuanceParts } from './parts.ts';

/**
 * A certificate for the OCSP responder that answers about what `authority` signed, by that authority itself. Nobody but
 * Writ (`system`) gets past the guard. `csr`: DER.
 */
export function issueResponderCertificate(
  caller: Caller,
  { csr, authority }: { readonly csr: Uint8Array; readonly authority: Issuer },
  parts: IssuanceParts,
): Promise<IssuedCertificate> {
  return issueCertificate(
    {
      caller,
      action: 'certificate.issue',
      event: 'certificate.issued',
      csr,
      wish: {},
      responderOf: authority,
      holder: async () => ({
        kind: 'responder',
        name: 'responder',
        id: responderId(parts.trustDomain),
        profile: RESPONDER_PROFILE,
        profileVersion: 0,
        keyHolder: 'responder',
        resource: { type: 'Installation', id: 'writ' },
        facts: {},
        context: { scopes: [] },
        subjects: ['responder:responder'],
        hasPrevious: false,
        record() {},
      }),
      also: anchorOwn,
    },
    parts,
  );
}
