import type { Caller } from '../base/access.ts';
import { WritError } from '../base/error.ts';
import { formatSerial } from '../ca/certificate/serial.ts';
import { readEvent } from '../ledger/history.ts';
import { type ReportedCertificate, withHolds } from './holds.ts';
import { readableCertificate } from './may-read.ts';
import { type StopOrigin, whyStopped } from './origin.ts';
import type { ReportParts } from './parts.ts';

export interface ShownCertificate {
  readonly row: ReportedCertificate;
  readonly der: Uint8Array;
  /** DER, issuing authority first, without the root. */
  readonly chain: readonly Uint8Array[];
  /** Of one that is revoked or held. */
  readonly stopped?: StopOrigin;
}

/** One certificate with its bytes, which lie in the entry of its issue. Throws `denied` and `not_found`. */
export async function showCertificate(
  caller: Caller,
  serial: Uint8Array,
  parts: ReportParts,
): Promise<ShownCertificate> {
  const row = await readableCertificate(caller, serial, parts);
  const der = (await readEvent(parts.reader, row.leaf))?.body['certificate'];
  if (typeof der !== 'string') {
    throw new WritError('ledger_corrupt', `entry ${row.leaf} of the ledger is not the issue that its index says`);
  }
  const [reported = row]: readonly ReportedCertificate[] = await withHolds(parts.reader, [row]);
  const { revoked, held } = reported;
  const stopped =
    revoked === undefined && held === undefined
      ? undefined
      : await whyStopped(parts.reader, formatSerial(row.serial), { revoked: revoked !== undefined });
  const why = stopped === undefined ? {} : { stopped };
  return { ...why, row: reported, der: new Uint8Array(Buffer.from(der, 'base64url')), chain: parts.chain(row.issuer) };
}
