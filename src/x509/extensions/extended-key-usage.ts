import { readOid } from '../../der/oid.ts';
import { fail, openSequence } from '../../der/reader.ts';
import { oid, sequence } from '../../der/writer.ts';

export const EXTENDED_KEY_USAGE = '2.5.29.37';

export const SERVER_AUTH = '1.3.6.1.5.5.7.3.1';
export const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';
/** Of a delegated OCSP responder (RFC 6960 §4.2.2.2). */
export const OCSP_SIGNING = '1.3.6.1.5.5.7.3.9';
export const ANY_EXTENDED_KEY_USAGE = '2.5.29.37.0';

/** Key purposes as dotted text, at least one (RFC 5280 §4.2.1.12). */
export function decodeExtendedKeyUsage(value: Uint8Array): string[] {
  const list = openSequence(value, 'extKeyUsage');
  const purposes: string[] = [];
  while (list.at < list.end) purposes.push(readOid(list, 'keyPurposeId'));
  if (purposes.length === 0) fail(list, '', 'empty');
  return purposes;
}

export function encodeExtendedKeyUsage(purposes: readonly string[]): Uint8Array {
  return sequence(...purposes.map(oid));
}
