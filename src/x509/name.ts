import { WritError } from '../base/error.ts';
import { sameBytes } from '../der/bytes.ts';
import { readOid } from '../der/oid.ts';
import { type Cursor, enterSequence, enterSet, fail, finish, openDer, peekTag, readAny } from '../der/reader.ts';
import { isTextTag, readText } from '../der/text.ts';
import { compareEncodings, ia5String, oid, printableString, sequence, setOf, utf8String } from '../der/writer.ts';

/** A distinguished name (X.501; RFC 5280 §4.1.2.4). */
export interface Name {
  /** The encoding, tag and length included. Two names with equal `raw` are equal. */
  readonly raw: Uint8Array;
  /** Relative distinguished names in encoding order, the widest first; each holds at least one attribute. */
  readonly rdns: readonly (readonly NameAttribute[])[];
}

interface NameAttribute {
  /** Attribute type as dotted text. */
  readonly type: string;
  /** The value's encoding, tag and length included. */
  readonly raw: Uint8Array;
  /** The value as text; undefined when it is of no string type. */
  readonly text: string | undefined;
}

/** Short names of attribute types (RFC 4514 §3 and the field's habit). */
const TYPES = {
  CN: '2.5.4.3',
  SN: '2.5.4.4',
  serialNumber: '2.5.4.5',
  C: '2.5.4.6',
  L: '2.5.4.7',
  ST: '2.5.4.8',
  STREET: '2.5.4.9',
  O: '2.5.4.10',
  OU: '2.5.4.11',
  DC: '0.9.2342.19200300.100.1.25',
  UID: '0.9.2342.19200300.100.1.1',
} as const;

export type NameType = keyof typeof TYPES;

const SHORT = new Map<string, string>(Object.entries(TYPES).map(([short, dotted]) => [dotted, short]));

/**
 * Reads a Name. Text must fit its string type. Where the name that stands there is most likely `known`, which was read
 * before, the octets are compared instead.
 */
export function readName(cursor: Cursor, label: string, known?: Name): Name {
  const start = cursor.at;
  const list = enterSequence(cursor, label);
  const raw = cursor.bytes.subarray(start, cursor.at);
  if (known !== undefined && sameBytes(known.raw, raw)) return known;
  const rdns: NameAttribute[][] = [];
  while (list.at < list.end) rdns.push(readRdn(list));
  return { raw, rdns };
}

/** Parses the encoding of exactly one Name. */
export function parseName(der: Uint8Array): Name {
  const cursor = openDer(der, 'name');
  const name = readName(cursor, '');
  finish(cursor);
  return name;
}

function readRdn(names: Cursor): NameAttribute[] {
  const set = enterSet(names, 'relativeDistinguishedName');
  const attributes: NameAttribute[] = [];
  let previous: Uint8Array | undefined;
  while (set.at < set.end) {
    const start = set.at;
    const pair = enterSequence(set, 'attribute');
    const type = readOid(pair, 'type');
    const valueAt = pair.at;
    const text = isTextTag(peekTag(pair)) ? readText(pair, 'value') : undefined;
    const raw = text === undefined ? readAny(pair, 'value') : pair.bytes.subarray(valueAt, pair.at);
    finish(pair);
    const whole = set.bytes.subarray(start, set.at);
    if (previous !== undefined && compareEncodings(previous, whole) >= 0) {
      fail(set, '', 'SET OF not in ascending order', start);
    }
    previous = whole;
    attributes.push({ type, raw, text });
  }
  if (attributes.length === 0) fail(set, '', 'empty');
  return attributes;
}

/** Encodes a Name of single-valued RDNs, the widest first: `[['O', 'Example'], ['CN', 'Example Root']]`. */
export function encodeName(parts: readonly (readonly [NameType, string])[]): Uint8Array {
  return sequence(...parts.map(([type, text]) => setOf(sequence(oid(TYPES[type]), encodeText(type, text)))));
}

/** RFC 5280 appendix A: C and serialNumber are PrintableString, DC is IA5String, the rest UTF8String. */
function encodeText(type: NameType, text: string): Uint8Array {
  if (text === '') throw new WritError('bad_certificate', `the name attribute ${type} is empty`, { field: type });
  if (type === 'C' || type === 'serialNumber') return printableString(text);
  return type === 'DC' ? ia5String(text) : utf8String(text);
}

/**
 * Each RDN as one text that is equal exactly for RDNs that match (RFC 5280 §7.1): case and string type do not count,
 * runs of white space count as one, white space at the ends not at all. Values of no string type match octet by octet.
 */
export function matchingRdns(name: Name): string[] {
  return name.rdns.map((attributes) =>
    attributes
      .map(({ type, raw, text }) =>
        JSON.stringify([type, text === undefined ? Buffer.from(raw).toString('hex') : fold(text), text === undefined]),
      )
      .sort()
      .join(),
  );
}

function fold(text: string): string {
  return text.normalize('NFKC').toLowerCase().replace(/\s+/g, ' ').trim();
}

/** True when the names match as RFC 5280 §7.1 has it. */
export function namesMatch(a: Name, b: Name): boolean {
  if (sameBytes(a.raw, b.raw)) return true;
  if (a.rdns.length !== b.rdns.length) return false;
  const others = matchingRdns(b);
  return matchingRdns(a).every((rdn, i) => rdn === others[i]);
}

/** For people (RFC 4514): narrowest first, `CN=Example Root,O=Example`. Empty for the empty name. */
export function formatName(name: Name): string {
  return name.rdns
    .map((attributes) => attributes.map(formatAttribute).join('+'))
    .reverse()
    .join(',');
}

function formatAttribute({ type, raw, text }: NameAttribute): string {
  const short = SHORT.get(type);
  if (short === undefined || text === undefined) return `${type}=#${Buffer.from(raw).toString('hex')}`;
  const escaped = text
    .replace(/["+,;<>\\]/g, '\\$&')
    .replace(/^[ #]|(?<=.) $/g, '\\$&')
    // Control characters and marks of direction would let a name forge lines of a listing.
    .replace(/[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]/gu, (c) =>
      [...new TextEncoder().encode(c)].map((octet) => `\\${octet.toString(16).padStart(2, '0')}`).join(''),
    );
  return `${short}=${escaped}`;
}
