import { fail, finish, openSequence, peekTag, readInteger, readOctetString } from '../../der/reader.ts';
import { contextConstructed, contextPrimitive } from '../../der/tag.ts';
import { octetString, sequence } from '../../der/writer.ts';
import { type GeneralName, readGeneralNames } from '../general-name.ts';

export const AUTHORITY_KEY_IDENTIFIER = '2.5.29.35';

/** RFC 5280 §4.2.1.1. Issuer and serial number come together or not at all; Writ writes the key identifier alone. */
export interface AuthorityKeyIdentifier {
  readonly keyIdentifier: Uint8Array | undefined;
  readonly issuer: readonly GeneralName[] | undefined;
  /** Content octets of the INTEGER. */
  readonly serial: Uint8Array | undefined;
}

export function decodeAuthorityKeyIdentifier(value: Uint8Array): AuthorityKeyIdentifier {
  const fields = openSequence(value, 'authorityKeyIdentifier');
  const keyIdentifier =
    peekTag(fields) === contextPrimitive(0) ? readOctetString(fields, 'keyIdentifier', contextPrimitive(0)) : undefined;
  const issuer =
    peekTag(fields) === contextConstructed(1)
      ? readGeneralNames(fields, contextConstructed(1), 'authorityCertIssuer')
      : undefined;
  const serial =
    peekTag(fields) === contextPrimitive(2)
      ? readInteger(fields, 'authorityCertSerialNumber', contextPrimitive(2))
      : undefined;
  finish(fields);
  if ((issuer === undefined) !== (serial === undefined)) fail(fields, '', 'issuer without serial or the reverse');
  return { keyIdentifier, issuer, serial };
}

export function encodeAuthorityKeyIdentifier(keyIdentifier: Uint8Array): Uint8Array {
  return sequence(octetString(keyIdentifier, contextPrimitive(0)));
}
