import { WritError } from '../base/error.ts';
import { MAX_DER_BYTES } from './reader.ts';
import { OCTET_STRING } from './tag.ts';
import { encode, encodeList } from './writer.ts';

/** Deeper than a certificate within a signed message is nested. */
const DEEPEST = 32;
const CONSTRUCTED = 0x20;
const INDEFINITE = 0x80;
/** Values in one encoding: each costs an object. */
const MOST_VALUES = 8192;

interface Source {
  readonly bytes: Uint8Array;
  at: number;
  values: number;
}

/**
 * The same value with the lengths and octet strings of DER, for messages whose senders write as they go along (CMS by
 * BouncyCastle or `openssl -stream`, RFC 5652 §10.1): indefinite lengths, lengths in too many octets, and OCTET STRINGs in
 * pieces become what X.690 §10 has. Nothing else changes, neither the order of sets nor what stands in primitive values, so
 * that strict readers still find what is wrong there. Signed parts that were DER stay as they were.
 *
 * `bytes` holds exactly one value, of at most `limit` octets; else `bad_der` or `too_large`. The result is never longer.
 */
export function derOfBer(bytes: Uint8Array, label: string, limit: number = MAX_DER_BYTES): Uint8Array {
  if (bytes.length > limit) {
    throw new WritError('too_large', `${label} is ${bytes.length} octets long`, {
      field: label,
      remedy: `At most ${limit} octets are accepted.`,
    });
  }
  const source = { bytes, at: 0, values: 0 };
  const value = readValue(source, bytes.length, 0, label);
  if (source.at !== bytes.length) fail(source, label, 'unexpected bytes after the last field');
  return value;
}

/** One value, written anew. */
function readValue(source: Source, end: number, depth: number, label: string): Uint8Array {
  const tag = source.bytes[source.at];
  if (source.at >= end || tag === undefined) fail(source, label, 'ends where a value was expected');
  if ((tag & 0x1f) === 0x1f) fail(source, label, 'tag number above 30');
  if (depth > DEEPEST) fail(source, label, `nested deeper than ${DEEPEST}`);
  source.values += 1;
  if (source.values > MOST_VALUES) fail(source, label, `more than ${MOST_VALUES} values`);
  source.at += 1;
  const length = readLength(source, end, label);
  if ((tag & CONSTRUCTED) === 0) {
    if (length === undefined) fail(source, label, 'indefinite length of a primitive value');
    const content = source.bytes.subarray(source.at, source.at + length);
    source.at += length;
    return encode(tag, content);
  }
  const parts = readParts(source, { end, length }, depth, label);
  if (tag === (OCTET_STRING | CONSTRUCTED)) return joined(parts, source, label);
  // Texts and bit strings in pieces are in nothing that Writ reads.
  if (tag < 0x40 && tag !== 0x30 && tag !== 0x31) fail(source, label, 'a constructed value of a primitive type');
  return encodeList(tag, parts);
}

function readParts(
  source: Source,
  { end, length }: { readonly end: number; readonly length: number | undefined },
  depth: number,
  label: string,
): Uint8Array[] {
  const parts: Uint8Array[] = [];
  if (length !== undefined) {
    const last = source.at + length;
    while (source.at < last) parts.push(readValue(source, last, depth + 1, label));
    return parts;
  }
  // End-of-contents octets (X.690 §8.1.5).
  while (!(source.at + 2 <= end && source.bytes[source.at] === 0 && source.bytes[source.at + 1] === 0)) {
    parts.push(readValue(source, end, depth + 1, label));
  }
  source.at += 2;
  return parts;
}

/** The pieces of an OCTET STRING (X.690 §8.7.3) as one; each was read and so is one by itself. */
function joined(parts: readonly Uint8Array[], source: Source, label: string): Uint8Array {
  const contents = parts.map((part) => {
    if (part[0] !== OCTET_STRING) fail(source, label, 'an OCTET STRING with a piece that is none');
    const first = part[1]!;
    return part.subarray(first < 0x80 ? 2 : 2 + (first & 0x7f));
  });
  return encodeList(OCTET_STRING, contents);
}

/** Undefined for the indefinite form. */
function readLength(source: Source, end: number, label: string): number | undefined {
  const first = source.bytes[source.at];
  if (source.at >= end || first === undefined) fail(source, label, 'truncated before the length');
  source.at += 1;
  if (first === INDEFINITE) return undefined;
  let length = first;
  if (first > 0x7f) {
    const octets = first & 0x7f;
    if (octets > 4) fail(source, label, 'length in more than four octets');
    if (source.at + octets > end) fail(source, label, 'truncated within the length');
    length = 0;
    for (let i = 0; i < octets; i++) length = length * 256 + source.bytes[source.at++]!;
  }
  if (source.at + length > end) fail(source, label, 'truncated: the length exceeds what is there');
  return length;
}

function fail({ at }: Source, label: string, fault: string): never {
  throw new WritError('bad_der', `${label}: ${fault}`, { field: `${label}, offset ${at}` });
}
