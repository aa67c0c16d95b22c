import { readOid } from '../../der/oid.ts';
import { enterSequence, fail, finish, openSequence } from '../../der/reader.ts';
import { oid, sequence } from '../../der/writer.ts';
import { encodeGeneralName, type GeneralName, readGeneralName } from '../general-name.ts';

export const AUTHORITY_INFO_ACCESS = '1.3.6.1.5.5.7.1.1';

export const ACCESS_OCSP = '1.3.6.1.5.5.7.48.1';
export const ACCESS_CA_ISSUERS = '1.3.6.1.5.5.7.48.2';

/** RFC 5280 §4.2.2.1. */
export interface AccessDescription {
  /** Dotted text. */
  readonly method: string;
  readonly location: GeneralName;
}

export function decodeAuthorityInfoAccess(value: Uint8Array): AccessDescription[] {
  const list = openSequence(value, 'authorityInfoAccess');
  const descriptions: AccessDescription[] = [];
  while (list.at < list.end) {
    const fields = enterSequence(list, 'accessDescription');
    const method = readOid(fields, 'accessMethod');
    const location = readGeneralName(fields, 'accessLocation');
    finish(fields);
    descriptions.push({ method, location });
  }
  if (descriptions.length === 0) fail(list, '', 'empty');
  return descriptions;
}

export function encodeAuthorityInfoAccess(descriptions: readonly AccessDescription[]): Uint8Array {
  return sequence(...descriptions.map(({ method, location }) => sequence(oid(method), encodeGeneralName(location))));
}
