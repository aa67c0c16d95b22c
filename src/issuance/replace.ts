import type { Caller } from '../base/access.ts';
import { WritError } from '../base/error.ts';
import { type CertificateRow, readCertificate, revokeCertificateRow } from '../ca/certificates.ts';
import type { Holder } from './holder.ts';
import { knownInstance } from './instance-holder.ts';
import { issueCertificate } from './issue.ts';
import type { IssuedCertificate } from './issued.ts';
import { notAuthenticated } from './not-authenticated.ts';
import { operatorHolder } from './operator.ts';
import type { IssuanceParts } from './parts.ts';
import type { CertificateRequest } from './request.ts';

/**
 * As a renewal, and in the same act the certificate before is revoked as superseded. Without `serial` it is the one that
 * the caller presents. Its key may go on: only other causes block a key.
 */
export function replaceCertificate(
  caller: Caller,
  request: CertificateRequest & { readonly serial?: Uint8Array | undefined },
  parts: IssuanceParts,
): Promise<IssuedCertificate> {
  const { csr, wish = {}, idempotency, serial = caller.serial } = request;
  let before: CertificateRow | undefined;
  return issueCertificate(
    {
      caller,
      action: 'certificate.replace',
      event: 'certificate.replaced',
      csr,
      wish,
      idempotency,
      previous: serial,
      async holder(fresh) {
        if (serial === undefined) throw notAuthenticated();
        before = await readCertificate(parts.certificates, serial);
        return holderOf(caller, before, parts, fresh);
      },
      fault: () => faultOf(before, parts.clock.now()),
      async also(batch, certificate) {
        const stop = { at: certificate.issuedAt, cause: 'superseded_by_renewal', caller: caller.id } as const;
        await revokeCertificateRow(parts.certificates, batch, before!, stop);
      },
    },
    parts,
  );
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
  if (before?.revoked !== undefined) {
    return new WritError('revoked', 'The certificate was revoked, which is for ever.', {
      field: '/serial',
      remedy: 'Renew with another certificate of the instance, or enrol a new one.',
    });
  }
  if (before !== undefined && before.expiresAt > now) return undefined;
  return new WritError('expired', 'The certificate has expired, so there is nothing to replace.', {
    field: '/serial',
    remedy: 'Have one issued for the instance, or enrol a new one.',
  });
}
