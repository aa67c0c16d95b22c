import type { Caller } from '../base/access.ts';
import { demand } from '../base/demand.ts';
import { WritError } from '../base/error.ts';
import { formatSerial } from '../ca/certificate/serial.ts';
import { type CertificateRow, readCertificate, revokeCertificateRow } from '../ca/index/certificates.ts';
import { blocksKey, type Cause, parseCause } from '../ca/revocation-cause.ts';
import { type Batch, newBatch } from '../db/batch.ts';
import { committed } from '../db/committed.ts';
import { whenAnchored } from '../db/when-anchored.ts';
import { blockKey } from '../registry/key-in-use.ts';
import { countStop, tooManyStops } from '../registry/stop-rate.ts';
import { absent, askedOfCertificate } from './asked.ts';
import { withEvidence } from './evidence.ts';
import type { MarkingParts, RevocationParts, StopOptions, Why } from './parts.ts';

/**
 * Revokes one certificate for ever: its row, the epoch and the anchor are one act, and but for a planned replacement its
 * key is never certified again. Gives the certificate as it stands then. One that is revoked already is answered with its
 * first time and cause.
 *
 * Throws `bad_request` for a cause that is not on the list and evidence that is no link, `not_found`, `denied`,
 * `needs_approval`, `rate_limited`.
 */
export async function revokeCertificate(
  caller: Caller,
  target: { readonly serial: Uint8Array } & Why,
  given: RevocationParts,
  options: StopOptions = {},
): Promise<CertificateRow> {
  const cause = parseCause(target);
  const parts = withEvidence(given, target.evidence);
  await parts.refresh();
  const row = await find(caller, target.serial, parts);
  const { resource, facts } = await askedOfCertificate(caller, row, parts);
  demand(parts.authorize, { caller, action: 'certificate.revoke', resource, context: { reason: cause, ...facts } });
  await options.idempotency?.first();
  if (row.revoked !== undefined) {
    await whenAnchored(parts.commit);
    return row;
  }

  const batch = newBatch();
  const at = parts.clock.now();
  options.idempotency?.keep(batch, { kind: 'reference', reference: formatSerial(row.serial) });
  // What is one's own nobody keeps one from ending.
  if (row.kind !== 'operator' || row.name !== caller.operator) countStop(batch, caller, at, parts.stopsAMinute);
  await pushRevocation(batch, row, { at, cause, caller: caller.id }, parts);
  const commit = await parts.commit(batch);
  const after = await readCertificate(parts.certificates, row.serial);
  if (!commit.committed) {
    // Somebody else was faster: what they said stays.
    if (after?.revoked === undefined) {
      if (commit.refusal === 'rate_limited') throw tooManyStops(commit.reason);
      committed(commit);
    }
    await whenAnchored(parts.commit);
  }
  if (after === undefined) throw new WritError('internal', 'A certificate that was revoked has lost its row.');
  return after;
}

/** Pushes the end of a certificate and of its key. */
export async function pushRevocation(
  batch: Batch,
  row: CertificateRow,
  stop: { readonly at: number; readonly cause: Cause; readonly caller: string },
  { certificates }: Pick<MarkingParts, 'certificates'>,
): Promise<void> {
  await revokeCertificateRow(certificates, batch, row, stop);
  if (blocksKey(stop.cause)) blockKey(batch, row.spkiHash);
}

async function find(caller: Caller, serial: Uint8Array, parts: RevocationParts): Promise<CertificateRow> {
  const row = await readCertificate(parts.certificates, serial);
  if (row === undefined) throw absent(caller, 'certificate', '/serial', parts);
  return row;
}
