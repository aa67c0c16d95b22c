import { enterSequence, fail, finish, openSequence, peekTag, readBitString } from '../../der/reader.ts';
import { contextConstructed, contextPrimitive } from '../../der/tag.ts';
import { sequence } from '../../der/writer.ts';
import { type GeneralName, readGeneralNames } from '../general-name.ts';
import {
  type DistributionPointName,
  encodeDistributionPointName,
  readDistributionPointName,
} from './distribution-point-name.ts';

export const CRL_DISTRIBUTION_POINTS = '2.5.29.31';

/** RFC 5280 §4.2.1.13. */
export interface DistributionPoint {
  readonly name?: DistributionPointName;
  /** True when the point covers some revocation reasons alone. */
  readonly someReasons: boolean;
  /** Who signs the CRL, when that is not the certificate's issuer. */
  readonly crlIssuer?: readonly GeneralName[];
}

export function decodeCrlDistributionPoints(value: Uint8Array): DistributionPoint[] {
  const list = openSequence(value, 'cRLDistributionPoints');
  const points: DistributionPoint[] = [];
  while (list.at < list.end) {
    const fields = enterSequence(list, 'distributionPoint');
    const name = readDistributionPointName(fields);
    const someReasons = peekTag(fields) === contextPrimitive(1);
    if (someReasons) readBitString(fields, 'reasons', contextPrimitive(1));
    const crlIssuer =
      peekTag(fields) === contextConstructed(2)
        ? readGeneralNames(fields, contextConstructed(2), 'cRLIssuer')
        : undefined;
    finish(fields);
    if (name === undefined && crlIssuer === undefined) fail(fields, '', 'neither a name nor a cRLIssuer');
    points.push({ ...(name && { name }), someReasons, ...(crlIssuer && { crlIssuer }) });
  }
  if (points.length === 0) fail(list, '', 'empty');
  return points;
}

/** One point with these names of one and the same CRL, for all reasons, signed by the certificate's issuer. */
export function encodeCrlDistributionPoints(fullName: readonly GeneralName[]): Uint8Array {
  return sequence(sequence(encodeDistributionPointName({ fullName })));
}
