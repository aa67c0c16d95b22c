import { type Cursor, fail, peekTag, readContent } from './reader.ts';
import {
  BMP_STRING,
  IA5_STRING,
  NUMERIC_STRING,
  PRINTABLE_STRING,
  TELETEX_STRING,
  UNIVERSAL_STRING,
  UTF8_STRING,
  VISIBLE_STRING,
} from './tag.ts';

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** True for the string types whose content `readText` can check and decode. */
export function isTextTag(tag: number): boolean {
  return (
    tag === UTF8_STRING ||
    tag === PRINTABLE_STRING ||
    tag === IA5_STRING ||
    tag === NUMERIC_STRING ||
    tag === VISIBLE_STRING ||
    tag === TELETEX_STRING ||
    tag === BMP_STRING ||
    tag === UNIVERSAL_STRING
  );
}

/** Reads a string value of whatever string type stands there; the characters must belong to that type. */
export function readText(cursor: Cursor, label: string): string {
  const tag = peekTag(cursor);
  if (!isTextTag(tag)) fail(cursor, label, 'not a string type');
  return readTextOf(cursor, tag, tag, label);
}

/** Reads characters of string type `type` under `tag`, which differs from it where the type is tagged implicitly. */
export function readTextOf(cursor: Cursor, tag: number, type: number, label: string): string {
  const content = readContent(cursor, tag, label);
  const text = decode(content, type);
  if (text === undefined) {
    fail(cursor, label, 'characters that its string type does not have', cursor.at - content.length);
  }
  return text;
}

function decode(content: Uint8Array, type: number): string | undefined {
  switch (type) {
    case UTF8_STRING:
      return decodeUtf8(content);
    case PRINTABLE_STRING:
      return ascii(content, isPrintable);
    case NUMERIC_STRING:
      return ascii(content, (c) => c === 0x20 || (c >= 0x30 && c <= 0x39));
    case VISIBLE_STRING:
      return ascii(content, (c) => c >= 0x20 && c < 0x7f);
    case IA5_STRING:
      return ascii(content, (c) => c < 0x80);
    case TELETEX_STRING:
      // T.61 proper is extinct; what certificates hold under this tag is Latin-1.
      return ascii(content, () => true);
    case BMP_STRING:
      return decodeWide(content, 2);
    default:
      return decodeWide(content, 4);
  }
}

function decodeUtf8(content: Uint8Array): string | undefined {
  const plain = ascii(content, (c) => c < 0x80);
  if (plain !== undefined) return plain;
  try {
    return utf8.decode(content);
  } catch {
    return undefined;
  }
}

/** X.680 table 8: letters, digits, space and `'()+,-./:=?`. */
function isPrintable(c: number): boolean {
  return (
    (c >= 0x61 && c <= 0x7a) ||
    (c >= 0x41 && c <= 0x5a) ||
    (c >= 0x27 && c <= 0x3a && c !== 0x2a) ||
    c === 0x20 ||
    c === 0x3d ||
    c === 0x3f
  );
}

/** The octets as characters of the same number, or undefined when one of them is not `allowed`. */
function ascii(content: Uint8Array, allowed: (octet: number) => boolean): string | undefined {
  for (let i = 0; i < content.length; i++) {
    if (!allowed(content[i]!)) return undefined;
  }
  return Buffer.from(content.buffer, content.byteOffset, content.length).toString('latin1');
}

/** UCS-2 or UCS-4, big-endian; no surrogates. */
function decodeWide(content: Uint8Array, width: 2 | 4): string | undefined {
  if (content.length % width !== 0) return undefined;
  let text = '';
  for (let i = 0; i < content.length; i += width) {
    let point = 0;
    for (let j = 0; j < width; j++) point = point * 256 + content[i + j]!;
    if (point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff)) return undefined;
    text += String.fromCodePoint(point);
  }
  return text;
}
