import { type ErrorCode, WritError } from '../base/error.ts';
import { BIT_STRING, BOOLEAN, ENUMERATED, INTEGER, NULL, OCTET_STRING, SEQUENCE, SET, tagName } from './tag.ts';

/**
 * A place in a DER encoding: the bytes between `at` and `end` are still to be read.
 *
 * All cursors of one encoding share its bytes: reading copies nothing, values are views, and the offsets in errors
 * count from the outermost byte. A reader of a structure takes its fields in order, then calls `finish`, so that no
 * byte goes unread. Time is linear in what is read; nothing recurses.
 *
 * Strictness is X.690's: definite lengths in the fewest octets, one-octet tags, minimal integers, 0x00 and 0xff as the
 * only booleans, unused bits zero. Whatever else is `bad_der`, with the path and offset in `field`.
 */
export interface Cursor {
  readonly bytes: Uint8Array;
  at: number;
  readonly end: number;
  /** Name of the structure for errors; with the enclosing ones it makes a path. */
  readonly label: string;
  readonly parent: Cursor | undefined;
}

/** Limit of one encoding, in octets, unless a caller of `openDer` says otherwise. Large enough for any certificate. */
export const MAX_DER_BYTES = 65_536;

const TRAILING = 'unexpected bytes after the last field';

/** Starts reading `bytes`, the encoding of exactly one value. `label` names it in errors. */
export function openDer(bytes: Uint8Array, label: string, limit: number = MAX_DER_BYTES): Cursor {
  if (bytes.length > limit) {
    throw new WritError('too_large', `${label} is ${bytes.length} octets long`, {
      field: label,
      remedy: `At most ${limit} octets are accepted.`,
    });
  }
  return { bytes, at: 0, end: bytes.length, label, parent: undefined };
}

/** Starts reading `bytes`, the encoding of exactly one SEQUENCE: gives its fields. */
export function openSequence(bytes: Uint8Array, label: string, limit?: number): Cursor {
  const cursor = openDer(bytes, label, limit);
  const end = readHeader(cursor, SEQUENCE, '');
  if (end !== cursor.end) fail(cursor, '', TRAILING, end);
  return cursor;
}

/**
 * Fails at the cursor's place, or at `at`. `label` names the field within the cursor's structure; empty: the structure
 * itself. The message names the fault, never the input. `code` is for faults of meaning, where the DER is sound.
 */
export function fail(
  cursor: Cursor,
  label: string,
  fault: string,
  at: number = cursor.at,
  { code = 'bad_der', remedy }: { readonly code?: ErrorCode; readonly remedy?: string } = {},
): never {
  let path = label;
  for (let c: Cursor | undefined = cursor; c !== undefined; c = c.parent) {
    if (c.label !== '') path = path === '' ? c.label : `${c.label}.${path}`;
  }
  throw new WritError(code, `${path}: ${fault}`, { field: `${path}, offset ${at}`, ...(remedy && { remedy }) });
}

/** The next tag, or -1 at the end. */
export function peekTag(cursor: Cursor): number {
  return cursor.at < cursor.end ? cursor.bytes[cursor.at]! : -1;
}

/** Demands that everything was read. */
export function finish(cursor: Cursor): void {
  if (cursor.at !== cursor.end) fail(cursor, '', TRAILING);
}

/**
 * Reads tag and length, and leaves the cursor at the content. Gives the content's end, which is within the cursor. For
 * the readers of `der/` alone, which look at the content in place; they leave the cursor at the end.
 */
export function readHeader(cursor: Cursor, tag: number, label: string): number {
  const { bytes, end } = cursor;
  let at = cursor.at;
  if (at >= end) fail(cursor, label, `ends where ${tagName(tag)} was expected`);
  const found = bytes[at]!;
  if (found !== tag) fail(cursor, label, `found ${tagName(found)} where ${tagName(tag)} was expected`);
  if (++at >= end) fail(cursor, label, 'truncated before the length', at);
  let length = bytes[at++]!;
  if (length >= 0x80) {
    const octets = length & 0x7f;
    if (octets === 0) fail(cursor, label, 'indefinite length', at - 1);
    if (octets > 4) fail(cursor, label, 'length in more than four octets', at - 1);
    if (at + octets > end) fail(cursor, label, 'truncated within the length', at);
    length = 0;
    for (let i = 0; i < octets; i++) length = length * 256 + bytes[at++]!;
    if (length < 0x80 || bytes[at - octets] === 0) {
      fail(cursor, label, 'length not in the fewest octets', at - octets - 1);
    }
  }
  const contentEnd = at + length;
  if (contentEnd > end) fail(cursor, label, 'truncated: the length exceeds what is there');
  cursor.at = at;
  return contentEnd;
}

/** Enters a constructed value; the cursor itself moves past it. The caller reads the result and calls `finish` on it. */
export function enter(cursor: Cursor, tag: number, label: string): Cursor {
  const end = readHeader(cursor, tag, label);
  const inner = { bytes: cursor.bytes, at: cursor.at, end, label, parent: cursor };
  cursor.at = end;
  return inner;
}

export function enterSequence(cursor: Cursor, label: string): Cursor {
  return enter(cursor, SEQUENCE, label);
}

export function enterSet(cursor: Cursor, label: string): Cursor {
  return enter(cursor, SET, label);
}

/** Content octets of a value with this tag. A view. */
export function readContent(cursor: Cursor, tag: number, label: string): Uint8Array {
  const end = readHeader(cursor, tag, label);
  const content = cursor.bytes.subarray(cursor.at, end);
  cursor.at = end;
  return content;
}

/** One whole value, tag and length included, whatever its tag. The content stays unread. A view. */
export function readAny(cursor: Cursor, label: string): Uint8Array {
  const tag = peekTag(cursor);
  if (tag < 0) fail(cursor, label, 'missing');
  return readWhole(cursor, tag, label);
}

/** One whole value with this tag, tag and length included. The content stays unread. A view. */
export function readWhole(cursor: Cursor, tag: number, label: string): Uint8Array {
  if ((tag & 0x1f) === 0x1f) fail(cursor, label, 'tag number above 30');
  const start = cursor.at;
  const end = readHeader(cursor, tag, label);
  cursor.at = end;
  return cursor.bytes.subarray(start, end);
}

/** Reads the header of an INTEGER and checks that its content is minimal (X.690 §8.3.2). Gives the content's end. */
function readIntegerHeader(cursor: Cursor, tag: number, label: string): number {
  const end = readHeader(cursor, tag, label);
  const { bytes, at } = cursor;
  if (end === at) fail(cursor, label, 'INTEGER without octets');
  const sign = bytes[at + 1]! & 0x80;
  if (end - at > 1 && ((bytes[at] === 0 && sign === 0) || (bytes[at] === 0xff && sign !== 0))) {
    fail(cursor, label, 'INTEGER not in the fewest octets');
  }
  return end;
}

/** Content octets of an INTEGER of any size: two's complement, big-endian, minimal. A view. */
export function readInteger(cursor: Cursor, label: string, tag: number = INTEGER): Uint8Array {
  const end = readIntegerHeader(cursor, tag, label);
  const content = cursor.bytes.subarray(cursor.at, end);
  cursor.at = end;
  return content;
}

/** An INTEGER that must lie in 0 … `max`, with `max` at most 2^31 - 1. */
export function readSmallInteger(cursor: Cursor, label: string, max = 0x7fff_ffff, tag: number = INTEGER): number {
  const end = readIntegerHeader(cursor, tag, label);
  const { bytes, at } = cursor;
  let value = bytes[at]! < 0x80 && end - at <= 4 ? 0 : Number.NaN;
  for (let i = at; i < end && i < at + 4; i++) value = value * 256 + bytes[i]!;
  if (!(value <= max)) fail(cursor, label, `not within 0 … ${max}`);
  cursor.at = end;
  return value;
}

export function readEnumerated(cursor: Cursor, label: string, max: number): number {
  return readSmallInteger(cursor, label, max, ENUMERATED);
}

export function readBoolean(cursor: Cursor, label: string, tag: number = BOOLEAN): boolean {
  const end = readHeader(cursor, tag, label);
  const value = cursor.bytes[cursor.at];
  if (end - cursor.at !== 1) fail(cursor, label, 'BOOLEAN not one octet long');
  if (value !== 0 && value !== 0xff) fail(cursor, label, 'BOOLEAN neither 0x00 nor 0xff');
  cursor.at = end;
  return value === 0xff;
}

/** Content octets of an OCTET STRING. A view. */
export function readOctetString(cursor: Cursor, label: string, tag: number = OCTET_STRING): Uint8Array {
  return readContent(cursor, tag, label);
}

export interface BitString {
  /** The octets after the count of unused bits. */
  readonly bytes: Uint8Array;
  /** 0 … 7; those bits of the last octet are zero. */
  readonly unused: number;
}

export function readBitString(cursor: Cursor, label: string, tag: number = BIT_STRING): BitString {
  const end = readHeader(cursor, tag, label);
  const { bytes, at } = cursor;
  if (end === at) fail(cursor, label, 'BIT STRING without the count of unused bits');
  const unused = bytes[at]!;
  if (unused > 7 || (unused > 0 && end === at + 1)) fail(cursor, label, 'impossible count of unused bits');
  if ((bytes[end - 1]! & ((1 << unused) - 1)) !== 0 && unused > 0) fail(cursor, label, 'unused bits not zero', end - 1);
  cursor.at = end;
  return { bytes: bytes.subarray(at + 1, end), unused };
}

/** A BIT STRING that is used to hold octets, as keys and signatures are: no unused bits. A view. */
export function readBitStringOctets(cursor: Cursor, label: string): Uint8Array {
  const { bytes, unused } = readBitString(cursor, label);
  if (unused !== 0) fail(cursor, label, 'not a whole number of octets', cursor.at - 1);
  return bytes;
}

export function readNull(cursor: Cursor, label: string): void {
  if (readHeader(cursor, NULL, label) !== cursor.at) fail(cursor, label, 'NULL with content');
}
