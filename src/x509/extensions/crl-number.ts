import { fail, finish, openDer, readInteger } from '../../der/reader.ts';
import { integer } from '../../der/writer.ts';

export const CRL_NUMBER = '2.5.29.20';
/** The base that a delta CRL adds to (RFC 5280 §5.2.4); always critical. */
export const DELTA_CRL_INDICATOR = '2.5.29.27';

/** The number of a CRL, or of a delta's base: 0 or more, at most 20 octets long (RFC 5280 §5.2.3). */
export function decodeCrlNumber(value: Uint8Array): bigint {
  const outer = openDer(value, 'cRLNumber');
  const content = readInteger(outer, '');
  finish(outer);
  if (content[0]! >= 0x80 || content.length > 20) fail(outer, '', 'negative, or longer than 20 octets', 0);
  return BigInt(`0x${Buffer.from(content).toString('hex')}`);
}

/** `number` must be a safe integer, 0 or more. */
export function encodeCrlNumber(number: number): Uint8Array {
  return integer(number);
}
