import { fail, finish, openDer, readOctetString } from '../../der/reader.ts';
import { octetString } from '../../der/writer.ts';

export const SUBJECT_KEY_IDENTIFIER = '2.5.29.14';

/** The key identifier's octets, at least one (RFC 5280 §4.2.1.2). */
export function decodeSubjectKeyIdentifier(value: Uint8Array): Uint8Array {
  const outer = openDer(value, 'subjectKeyIdentifier');
  const identifier = readOctetString(outer, '');
  finish(outer);
  if (identifier.length === 0) fail(outer, '', 'empty');
  return identifier;
}

export function encodeSubjectKeyIdentifier(identifier: Uint8Array): Uint8Array {
  return octetString(identifier);
}
