import { WritError } from '../base/error.ts';
import { type Cursor, enter, fail, finish, peekTag, readAny, readContent } from '../der/reader.ts';
import { contextConstructed, contextPrimitive, IA5_STRING } from '../der/tag.ts';
import { readTextOf } from '../der/text.ts';
import { encode, ia5String, octetString } from '../der/writer.ts';
import { type Name, readName } from './name.ts';

/** GeneralName (RFC 5280 §4.2.1.6). The forms that Writ has no use for are kept as they stand. */
export type GeneralName =
  | { readonly kind: 'email'; readonly value: string }
  | { readonly kind: 'dns'; readonly value: string }
  | { readonly kind: 'uri'; readonly value: string }
  /** 4 or 16 octets; in name constraints 8 or 32, address before mask. */
  | { readonly kind: 'ip'; readonly value: Uint8Array }
  | { readonly kind: 'directory'; readonly value: Name }
  /** otherName, x400Address, ediPartyName, registeredID: tag and whole encoding. */
  | { readonly kind: 'other'; readonly tag: number; readonly value: Uint8Array };

const EMAIL = contextPrimitive(1);
const DNS = contextPrimitive(2);
const DIRECTORY = contextConstructed(4);
const URI = contextPrimitive(6);
const IP = contextPrimitive(7);
const OTHERS: readonly number[] = [
  contextConstructed(0),
  contextConstructed(3),
  contextConstructed(5),
  contextPrimitive(8),
];

/** Whether an IP address stands alone or with its mask (RFC 5280 §4.2.1.10). */
export type IpForm = 'address' | 'subtree';

/** Reads one GeneralName. Text is ASCII; whether it is a host name, a mailbox or a URI is for the caller to judge. */
export function readGeneralName(cursor: Cursor, label: string, ipForm: IpForm = 'address'): GeneralName {
  const tag = peekTag(cursor);
  switch (tag) {
    case EMAIL:
      return { kind: 'email', value: readTextOf(cursor, tag, IA5_STRING, label) };
    case DNS:
      return { kind: 'dns', value: readTextOf(cursor, tag, IA5_STRING, label) };
    case URI:
      return { kind: 'uri', value: readTextOf(cursor, tag, IA5_STRING, label) };
    case IP:
      return { kind: 'ip', value: readIp(cursor, label, ipForm) };
    case DIRECTORY: {
      // A CHOICE within is tagged explicitly (X.680 §31.2.7).
      const explicit = enter(cursor, tag, label);
      const value = readName(explicit, 'directoryName');
      finish(explicit);
      return { kind: 'directory', value };
    }
    default:
      if (!OTHERS.includes(tag)) fail(cursor, label, 'not a GeneralName');
      return { kind: 'other', tag, value: readAny(cursor, label) };
  }
}

function readIp(cursor: Cursor, label: string, form: IpForm): Uint8Array {
  const value = readContent(cursor, IP, label);
  const octets = form === 'address' ? value.length : value.length / 2;
  if (octets !== 4 && octets !== 16)
    fail(cursor, label, `IP ${form} of ${value.length} octets`, cursor.at - value.length);
  return value;
}

/** Reads a GeneralNames list, at least one name; `tag` is the list's own. */
export function readGeneralNames(cursor: Cursor, tag: number, label: string): GeneralName[] {
  const list = enter(cursor, tag, label);
  const names: GeneralName[] = [];
  while (list.at < list.end) names.push(readGeneralName(list, 'name'));
  if (names.length === 0) fail(list, '', 'empty');
  return names;
}

export function encodeGeneralName(name: GeneralName, ipForm: IpForm = 'address'): Uint8Array {
  switch (name.kind) {
    case 'email':
      return ia5String(name.value, EMAIL);
    case 'dns':
      return ia5String(name.value, DNS);
    case 'uri':
      return ia5String(name.value, URI);
    case 'ip': {
      const octets = ipForm === 'address' ? name.value.length : name.value.length / 2;
      if (octets !== 4 && octets !== 16) throw new WritError('bad_certificate', `an IP ${ipForm} of impossible length`);
      return octetString(name.value, IP);
    }
    case 'directory':
      return encode(DIRECTORY, name.value.raw);
    default:
      return name.value;
  }
}

/** A GeneralNames list under `tag`. */
export function encodeGeneralNames(names: readonly GeneralName[], tag: number): Uint8Array {
  return encode(tag, ...names.map((name) => encodeGeneralName(name)));
}
