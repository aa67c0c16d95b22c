import type { Verdict } from '../base/access.ts';
import { isWritError } from '../base/error.ts';
import { formatSerial } from '../ca/certificate/serial.ts';
import type { SignedCertificate } from '../ca/certificate/sign.ts';
import type { NewCertificate } from '../ca/index/certificates.ts';
import type { JsonValue, LedgerEvent } from '../db/batch.ts';
import { LATEST_SERIAL } from '../registry/instance.ts';
import type { Holder } from './holder.ts';
import type { Order } from './order.ts';
import type { IssuanceParts } from './parts.ts';
import { identityOf, type Refusal } from './refusals.ts';

type Mutable<T> = { -readonly [member in keyof T]: T[member] };

/** The row of the index. */
export function newRow(
  holder: Holder,
  certificate: SignedCertificate,
  spkiHash: Uint8Array,
  shard: string | undefined,
): NewCertificate {
  const { serial, issuedAt, expiresAt, issuer } = certificate;
  const { kind, name, instance, profile, hasPrevious } = holder;
  const row: Mutable<NewCertificate> = {
    serial,
    kind,
    name,
    profile: profile.name,
    issuedAt,
    expiresAt,
    spkiHash,
    issuer,
  };
  if (shard !== undefined) row.shard = shard;
  if (instance !== undefined) row.instance = instance;
  if (instance !== undefined && hasPrevious) row.previous = { subquery: LATEST_SERIAL, param: instance };
  return row;
}

/** What the ledger says of an issue: by whom, under which rules, and the certificate itself. `serial` in hex. */
export function issueEvent(
  { event, caller, previous }: Order,
  { subjects, profile }: Holder,
  { policyVersion, rules }: Verdict,
  { certificate, serial }: { readonly certificate: SignedCertificate; readonly serial: string },
): LedgerEvent {
  const { der, issuer } = certificate;
  const body: { [member: string]: JsonValue } = {
    caller: caller.id,
    issuer,
    profile: profile.name,
    policy: policyVersion,
    rules,
    certificate: Buffer.from(der.buffer, der.byteOffset, der.length).toString('base64url'),
  };
  if (previous !== undefined) body['previous'] = formatSerial(previous);
  return { type: event, subjects: [...subjects, `serial:${serial}`], body };
}

/** Outcomes that are for the record. What else goes wrong is a malformed request, or for the log. */
const RECORDED: Readonly<Record<string, Refusal['type']>> = {
  denied: 'certificate.refused',
  needs_approval: 'certificate.refused',
  inactive: 'certificate.refused',
  revoked: 'certificate.refused',
  expired: 'certificate.refused',
  token_refused: 'token.refused',
  evidence_refused: 'evidence.refused',
  key_in_use: 'key.reuse_refused',
};

/** Puts a refusal on record; other errors pass. `holder`: as far as it was found out whom the certificate was for. */
export async function recordRefusal(
  error: unknown,
  { caller, action }: Order,
  holder: Holder | undefined,
  parts: IssuanceParts,
): Promise<void> {
  if (!isWritError(error)) return;
  const type = RECORDED[error.code];
  if (type === undefined) return;
  await parts.recordRefusal({
    type,
    by: holder?.evidence ?? identityOf(caller),
    code: error.code,
    subjects: holder?.subjects ?? [],
    body: { action, reasons: error.reasons.length > 0 ? error.reasons : [error.message] },
  });
}
