import { type Cursor, fail, finish, openSequence, peekTag, readBitString, readBoolean } from '../../der/reader.ts';
import { contextPrimitive } from '../../der/tag.ts';
import { boolean, sequence } from '../../der/writer.ts';
import {
  type DistributionPointName,
  encodeDistributionPointName,
  readDistributionPointName,
} from './distribution-point-name.ts';

export const ISSUING_DISTRIBUTION_POINT = '2.5.29.28';

/** What a CRL covers (RFC 5280 §5.2.5). */
export interface IssuingDistributionPoint {
  readonly name?: DistributionPointName;
  readonly onlyUserCerts: boolean;
  readonly onlyCaCerts: boolean;
  /** True when the CRL covers some revocation reasons alone. */
  readonly someReasons: boolean;
  readonly indirect: boolean;
  readonly onlyAttributeCerts: boolean;
}

export function decodeIssuingDistributionPoint(value: Uint8Array): IssuingDistributionPoint {
  const fields = openSequence(value, 'issuingDistributionPoint');
  const name = readDistributionPointName(fields);
  const onlyUserCerts = readFlag(fields, 1, 'onlyContainsUserCerts');
  const onlyCaCerts = readFlag(fields, 2, 'onlyContainsCACerts');
  const someReasons = peekTag(fields) === contextPrimitive(3);
  if (someReasons) readBitString(fields, 'onlySomeReasons', contextPrimitive(3));
  const indirect = readFlag(fields, 4, 'indirectCRL');
  const onlyAttributeCerts = readFlag(fields, 5, 'onlyContainsAttributeCerts');
  finish(fields);
  if (Number(onlyUserCerts) + Number(onlyCaCerts) + Number(onlyAttributeCerts) > 1) {
    fail(fields, '', 'more than one of the three onlyContains… is TRUE');
  }
  return { ...(name && { name }), onlyUserCerts, onlyCaCerts, someReasons, indirect, onlyAttributeCerts };
}

function readFlag(fields: Cursor, number: number, label: string): boolean {
  if (peekTag(fields) !== contextPrimitive(number)) return false;
  if (!readBoolean(fields, label, contextPrimitive(number))) {
    fail(fields, label, 'FALSE is the default and is not encoded');
  }
  return true;
}

/** For a direct CRL over all reasons: where it lies, and whether it covers leaves or CAs alone. */
export function encodeIssuingDistributionPoint(point: {
  readonly name?: DistributionPointName;
  readonly onlyUserCerts?: boolean;
  readonly onlyCaCerts?: boolean;
}): Uint8Array {
  return sequence(
    ...(point.name ? [encodeDistributionPointName(point.name)] : []),
    ...(point.onlyUserCerts ? [boolean(true, contextPrimitive(1))] : []),
    ...(point.onlyCaCerts ? [boolean(true, contextPrimitive(2))] : []),
  );
}
