import type { Caller } from '../base/access.ts';
import { knownInstance } from './instance-holder.ts';
import { issueCertificate } from './issue.ts';
import type { IssuedCertificate } from './issued.ts';
import type { IssuanceParts } from './parts.ts';
import type { CertificateRequest } from './request.ts';

/**
 * A certificate for an instance that is named, by an operator or whoever else policy entitles: for one that cannot ask
 * by itself.
 */
export function issueForInstance(
  caller: Caller,
  request: CertificateRequest & { readonly instance: string },
  parts: IssuanceParts,
): Promise<IssuedCertificate> {
  const { csr, wish = {}, idempotency, instance } = request;
  return issueCertificate(
    {
      caller,
      action: 'certificate.issue',
      event: 'certificate.issued',
      csr,
      wish,
      idempotency,
      holder: (fresh) => knownInstance(caller, instance, parts, fresh),
    },
    parts,
  );
}
