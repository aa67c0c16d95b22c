import { fail, finish, openSequence, peekTag, readBoolean, readSmallInteger } from '../../der/reader.ts';
import { BOOLEAN, INTEGER } from '../../der/tag.ts';
import { boolean, integer, sequence } from '../../der/writer.ts';

export const BASIC_CONSTRAINTS = '2.5.29.19';

/** RFC 5280 §4.2.1.9. */
export interface BasicConstraints {
  readonly ca: boolean;
  /** How many CA certificates may follow below, the leaf not counted; absent: any number. */
  readonly pathLength?: number;
}

export function decodeBasicConstraints(value: Uint8Array): BasicConstraints {
  const fields = openSequence(value, 'basicConstraints');
  let ca = false;
  if (peekTag(fields) === BOOLEAN) {
    ca = readBoolean(fields, 'cA');
    if (!ca) fail(fields, 'cA', 'FALSE is the default and is not encoded');
  }
  const pathLength = peekTag(fields) === INTEGER ? readSmallInteger(fields, 'pathLenConstraint') : undefined;
  finish(fields);
  return pathLength === undefined ? { ca } : { ca, pathLength };
}

export function encodeBasicConstraints({ ca, pathLength }: BasicConstraints): Uint8Array {
  return sequence(...(ca ? [boolean(true)] : []), ...(pathLength === undefined ? [] : [integer(pathLength)]));
}
