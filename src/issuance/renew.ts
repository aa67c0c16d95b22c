import type { Caller } from '../base/access.ts';
import type { Batch } from '../db/batch.ts';
import type { Holder } from './holder.ts';
import { instanceHolder } from './instance-holder.ts';
import { issueCertificate } from './issue.ts';
import type { IssuedCertificate } from './issued.ts';
import { moduleFault } from './module.ts';
import { notAuthenticated } from './not-authenticated.ts';
import { operatorHolder } from './operator.ts';
import type { IssuanceParts } from './parts.ts';
import type { CertificateRequest } from './request.ts';

/**
 * The next certificate for whoever presents a valid one: an instance or an operator, with the same key or a new one. The
 * one before stays valid until it expires. It says the same as the one before, or less.
 */
export function renewCertificate(
  caller: Caller,
  request: CertificateRequest & { readonly also?: ((batch: Batch) => void) | undefined },
  parts: IssuanceParts,
): Promise<IssuedCertificate> {
  const { csr, wish = {}, idempotency, moduleProof, also } = request;
  let holder: Holder | undefined;
  return issueCertificate(
    {
      caller,
      action: 'certificate.renew',
      event: 'certificate.renewed',
      csr,
      wish,
      idempotency,
      // The challenge of a repeat may be past its time, and the first answer is due all the same.
      ...(moduleProof === undefined ? { repeatReachesCommit: true } : {}),
      previous: caller.serial,
      ...(also === undefined ? {} : { also }),
      async holder(fresh) {
        holder = await callersOwn(caller, parts, fresh);
        return holder;
      },
      fault: () => holder && moduleFault(holder, moduleProof),
    },
    parts,
  );
}

/** The caller as a holder of certificates. Throws `not_authenticated` when it is none. */
async function callersOwn(caller: Caller, parts: IssuanceParts, fresh: boolean): Promise<Holder> {
  if (caller.instance !== undefined) return instanceHolder(caller.instance, parts, fresh);
  if (caller.operator !== undefined) return operatorHolder(caller.operator, parts);
  throw notAuthenticated();
}
