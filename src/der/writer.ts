import { WritError } from '../base/error.ts';
import { octets } from '../base/octets.ts';
import { encodeOidContent } from './oid.ts';
import {
  BIT_STRING,
  BOOLEAN,
  ENUMERATED,
  IA5_STRING,
  INTEGER,
  NULL,
  OBJECT_IDENTIFIER,
  OCTET_STRING,
  PRINTABLE_STRING,
  SEQUENCE,
  SET,
  UTF8_STRING,
} from './tag.ts';

/**
 * DER, written inside out: each function gives the whole encoding of one value, made from the encodings of its parts.
 * Simple before fast; what is written for every certificate comes from templates (`x509/leaf-template.ts`).
 */

/** Any value: `tag`, length, and `parts` one after the other as content. */
export function encode(tag: number, ...parts: readonly Uint8Array[]): Uint8Array {
  return encodeList(tag, parts);
}

/** As `encode`, for lists of any length. */
export function encodeList(tag: number, parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const header = headerLength(length);
  const out = octets(header + length);
  writeHeader(out, 0, tag, length);
  let at = header;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** How many octets tag and length take before a content of `length` octets, `length` below 2^32. */
export function headerLength(length: number): number {
  if (length < 0x80) return 2;
  if (length < 0x100) return 3;
  if (length < 0x10000) return 4;
  return length < 0x1000000 ? 5 : 6;
}

/** Writes tag and length of a content of `length` octets into `out` at `at`. */
export function writeHeader(out: Uint8Array, at: number, tag: number, length: number): void {
  out[at] = tag;
  const octets = headerLength(length) - 2;
  if (octets === 0) {
    out[at + 1] = length;
    return;
  }
  out[at + 1] = 0x80 | octets;
  for (let i = 0; i < octets; i++) out[at + 2 + i] = (length >>> ((octets - 1 - i) * 8)) & 0xff;
}

export function sequence(...parts: readonly Uint8Array[]): Uint8Array {
  return encode(SEQUENCE, ...parts);
}

/** SET OF: the encodings go in ascending order (X.690 §11.6), whatever order they are given in. */
export function setOf(...parts: readonly Uint8Array[]): Uint8Array {
  return encode(SET, ...[...parts].sort(compareEncodings));
}

/** Octet by octet, the shorter one padded with zero octets (X.690 §11.6). */
export function compareEncodings(a: Uint8Array, b: Uint8Array): number {
  const length = Math.max(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** INTEGER in 0 … 2^53 - 1. */
export function integer(value: number, tag: number = INTEGER): Uint8Array {
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new WritError('bad_der', 'an INTEGER to be written lies outside 0 … 2^53 - 1');
  }
  const octets: number[] = [];
  for (let rest = value; rest > 0 || octets.length === 0; rest = Math.floor(rest / 256)) octets.unshift(rest % 256);
  return unsignedInteger(Uint8Array.from(octets), tag);
}

/** INTEGER from big-endian octets, taken as unsigned: leading zero octets go, one comes where the top bit is set. */
export function unsignedInteger(octets: Uint8Array, tag: number = INTEGER): Uint8Array {
  let start = 0;
  while (start < octets.length - 1 && octets[start] === 0) start++;
  const digits = octets.subarray(start);
  if (digits.length === 0) return Uint8Array.of(tag, 1, 0);
  return digits[0]! >= 0x80 ? encode(tag, Uint8Array.of(0), digits) : encode(tag, digits);
}

export function enumerated(value: number): Uint8Array {
  return integer(value, ENUMERATED);
}

export function boolean(value: boolean, tag: number = BOOLEAN): Uint8Array {
  return Uint8Array.of(tag, 1, value ? 0xff : 0x00);
}

export function nullValue(): Uint8Array {
  return Uint8Array.of(NULL, 0);
}

export function octetString(content: Uint8Array, tag: number = OCTET_STRING): Uint8Array {
  return encode(tag, content);
}

/** BIT STRING that holds octets. */
export function bitString(content: Uint8Array, tag: number = BIT_STRING): Uint8Array {
  return encode(tag, Uint8Array.of(0), content);
}

/**
 * BIT STRING of named bits: `bits[n]` says whether bit n is set. Trailing zero bits are left out, as X.690 §11.2.2
 * demands of named bit lists.
 */
export function namedBits(bits: readonly boolean[], tag: number = BIT_STRING): Uint8Array {
  const count = bits.lastIndexOf(true) + 1;
  const octets = new Uint8Array(Math.ceil(count / 8));
  for (let i = 0; i < count; i++) {
    if (bits[i]) octets[i >> 3]! |= 0x80 >> (i & 7);
  }
  return encode(tag, Uint8Array.of((8 - (count % 8)) % 8), octets);
}

export function oid(dotted: string): Uint8Array {
  return encode(OBJECT_IDENTIFIER, encodeOidContent(dotted));
}

export function utf8String(text: string, tag: number = UTF8_STRING): Uint8Array {
  if (!text.isWellFormed()) throw new WritError('bad_der', 'text with a lone surrogate cannot be written');
  return encode(tag, new TextEncoder().encode(text));
}

/** The caller knows that all characters are those of PrintableString; others are refused. */
export function printableString(text: string): Uint8Array {
  if (!/^[A-Za-z0-9 '()+,\-./:=?]*$/.test(text)) {
    throw new WritError('bad_der', 'text with characters that PrintableString does not have');
  }
  return encode(PRINTABLE_STRING, new TextEncoder().encode(text));
}

/** ASCII text; other characters are refused. */
export function ia5String(text: string, tag: number = IA5_STRING): Uint8Array {
  const header = headerLength(text.length);
  const out = octets(header + text.length);
  writeHeader(out, 0, tag, text.length);
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code > 0x7f) throw new WritError('bad_der', 'text with characters beyond ASCII');
    out[header + i] = code;
  }
  return out;
}
