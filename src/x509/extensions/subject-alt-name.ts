import { finish, openDer } from '../../der/reader.ts';
import { SEQUENCE } from '../../der/tag.ts';
import { encodeGeneralNames, type GeneralName, readGeneralNames } from '../general-name.ts';

export const SUBJECT_ALT_NAME = '2.5.29.17';

/** The subject's further names, at least one, in encoding order (RFC 5280 §4.2.1.6). */
export function decodeSubjectAltName(value: Uint8Array): GeneralName[] {
  const outer = openDer(value, 'subjectAltName');
  const names = readGeneralNames(outer, SEQUENCE, '');
  finish(outer);
  return names;
}

export function encodeSubjectAltName(names: readonly GeneralName[]): Uint8Array {
  return encodeGeneralNames(names, SEQUENCE);
}
