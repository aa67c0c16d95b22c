import type { Caller } from '../base/access.ts';
import { WritError } from '../base/error.ts';
import { type CertificateRow, readCertificate, revokeCertificateRow } from '../ca/index/certificates.ts';
import type { Holder } from './holder.ts';
import { knownInstance } from './instance-holder.ts';
import { issueCertificate } from './issue.ts';
import type { IssuedCertificate } from './issued.ts';
import { moduleFault } from './module.ts';
import { notAuthenticated } from './not-authenticated.ts';
import { operatorHolder } from './operator.ts';
import type { IssuanceParts } from './parts.ts';
import type { CertificateRequest } from './request.ts';

/**
 * As a renewal, and in the same act the certificate before is revoked as superseded. Without `serial` it is the one that
 * the caller presents. Its key may go on: only other causes block a key.
 *
 * Whoever replaced the certificate that it presents, and lost the answer, has nothing left but the superseded one. The
 * repeat under the same idempotency key gets that answer while its certificate still holds, and nothing else.
 */
export function replaceCertificate(
  caller: Caller,
  request: CertificateRequest & { readonly serial?: Uint8Array | undefined },
  parts: IssuanceParts,
): Promise<IssuedCertificate> {
  const { csr, wish = {}, idempotency, moduleProof, serial = caller.serial } = request;
  const own = serial !== undefined && caller.serial !== undefined && Buffer.compare(serial, caller.serial) === 0;
  let repeating = caller.superseded === true;
  let before: CertificateRow | undefined;
  let holder: Holder | undefined;
  const issued = issueCertificate(
    {
      caller,
      action: 'certificate.replace',
      event: 'certificate.replaced',
      csr,
      wish,
      idempotency,
      revokesOwn: own,
      previous: serial,
      async holder(fresh) {
        if (serial === undefined) throw notAuthenticated();
        before = await readCertificate(parts.certificates, serial);
        repeating ||= own && fresh && before?.revoked !== undefined;
        holder = await holderOf(caller, before, parts, fresh);
        return holder;
      },
      fault() {
        if (repeating) return revoked();
        // Whoever replaces for another is let do so by policy alone.
        const asItself = caller.instance !== undefined && holder?.instance === caller.instance;
        return faultOf(before, parts.clock.now()) ?? (asItself ? moduleFault(holder!, moduleProof) : undefined);
      },
      async also(batch, certificate) {
        const stop = { at: certificate.issuedAt, cause: 'superseded_by_renewal', caller: caller.id } as const;
        await revokeCertificateRow(parts.certificates, batch, before!, stop);
      },
    },
    parts,
  );
  return issued.then((first) => (repeating ? requireSuccessor(first, caller, parts) : first));
}

/** The first answer, if it is the caller's own next certificate and that is not revoked in its turn. */
async function requireSuccessor(
  first: IssuedCertificate,
  caller: Caller,
  { certificates }: IssuanceParts,
): Promise<IssuedCertificate> {
  const row = await readCertificate(certificates, first.serial);
  if (row === undefined || row.revoked !== undefined || first.id !== caller.id) throw revoked();
  return first;
}

/** Whose certificate it is. One that is not there is treated like that of an instance that is not there. */
async function holderOf(
  caller: Caller,
  before: CertificateRow | undefined,
  parts: IssuanceParts,
  fresh: boolean,
): Promise<Holder> {
  if (before?.kind === 'operator') return operatorHolder(before.name, parts);
  return knownInstance(caller, before?.instance ?? '', parts, fresh);
}

function faultOf(before: CertificateRow | undefined, now: number): WritError | undefined {
  if (before?.revoked !== undefined) return revoked();
  if (before !== undefined && before.expiresAt > now) return undefined;
  return new WritError('expired', 'The certificate has expired, so there is nothing to replace.', {
    field: '/serial',
    remedy: 'Have one issued for the instance, or enrol a new one.',
  });
}

function revoked(): WritError {
  return new WritError('revoked', 'The certificate was revoked, which is for ever.', {
    field: '/serial',
    remedy: 'Renew with another certificate of the instance, or enrol a new one.',
  });
}
