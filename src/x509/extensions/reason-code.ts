import { fail, finish, openDer, readEnumerated } from '../../der/reader.ts';
import { enumerated } from '../../der/writer.ts';

export const REASON_CODE = '2.5.29.21';

/** CRLReason (RFC 5280 §5.3.1); 7 is not used. */
const CODES = {
  unspecified: 0,
  keyCompromise: 1,
  cACompromise: 2,
  affiliationChanged: 3,
  superseded: 4,
  cessationOfOperation: 5,
  certificateHold: 6,
  removeFromCRL: 8,
  privilegeWithdrawn: 9,
  aACompromise: 10,
} as const;

export type RevocationReason = keyof typeof CODES;

export const REVOCATION_REASONS = Object.keys(CODES) as readonly RevocationReason[];

const REASONS = new Map<number, RevocationReason>(
  Object.entries(CODES).map(([reason, code]) => [code, reason as RevocationReason]),
);

export function decodeReasonCode(value: Uint8Array): RevocationReason {
  const outer = openDer(value, 'reasonCode');
  const reason = REASONS.get(readEnumerated(outer, '', 10));
  finish(outer);
  if (reason === undefined) fail(outer, '', 'code 7 has no meaning');
  return reason;
}

/** The reason with this number; undefined for 7 and what is beyond. */
export function reasonOfCode(code: number): RevocationReason | undefined {
  return REASONS.get(code);
}

export function encodeReasonCode(reason: RevocationReason): Uint8Array {
  return enumerated(CODES[reason]);
}
