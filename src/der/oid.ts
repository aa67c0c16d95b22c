import { WritError } from '../base/error.ts';
import { type Cursor, fail, readHeader } from './reader.ts';
import { OBJECT_IDENTIFIER } from './tag.ts';

/** Limit of an OBJECT IDENTIFIER's content, in octets. */
const MAX_OID_BYTES = 128;

/** 2.5.29.n, the arc of nearly all extensions: three octets, and every certificate has half a dozen of them. */
const CERTIFICATE_EXTENSIONS: readonly string[] = Array.from({ length: 128 }, (_, arc) => `2.5.29.${arc}`);

/** 1.3.6.1.5.5.7.1.n, where the extensions of the PKIX working group are: eight octets. */
const PKIX_EXTENSIONS: readonly string[] = Array.from({ length: 128 }, (_, arc) => `1.3.6.1.5.5.7.1.${arc}`);
const PKIX_ARC = [0x2b, 6, 1, 5, 5, 7, 1] as const;

/**
 * Reads an OBJECT IDENTIFIER as dotted text. Each arc must be in the fewest octets (X.690 §8.19.2). Arcs of any size
 * that fits the limit are read exactly.
 */
export function readOid(cursor: Cursor, label: string): string {
  const end = readHeader(cursor, OBJECT_IDENTIFIER, label);
  const { bytes, at } = cursor;
  const length = end - at;
  if (length === 0) fail(cursor, label, 'OBJECT IDENTIFIER without octets');
  if (length > MAX_OID_BYTES) fail(cursor, label, `OBJECT IDENTIFIER above ${MAX_OID_BYTES} octets`);
  if (bytes[end - 1]! >= 0x80) fail(cursor, label, 'OBJECT IDENTIFIER ends within an arc', end - 1);
  cursor.at = end;
  if (length === 3 && bytes[at] === 0x55 && bytes[at + 1] === 0x1d) return CERTIFICATE_EXTENSIONS[bytes[at + 2]!]!;
  if (length === 8 && PKIX_ARC.every((octet, i) => bytes[at + i] === octet)) return PKIX_EXTENSIONS[bytes[at + 7]!]!;
  let text = '';
  for (let start = at; start < end; ) {
    let last = start;
    while (bytes[last]! >= 0x80) last++;
    if (bytes[start] === 0x80) fail(cursor, label, 'arc not in the fewest octets', start);
    const arc = readArc(bytes, start, last);
    text += start === at ? firstArcs(arc) : `.${arc}`;
    start = last + 1;
  }
  return text;
}

/** Base 128, from `start` to `last` inclusive. */
function readArc(bytes: Uint8Array, start: number, last: number): number | bigint {
  if (last - start < 7) {
    let arc = 0;
    for (let i = start; i <= last; i++) arc = arc * 128 + (bytes[i]! & 0x7f);
    return arc;
  }
  let arc = 0n;
  for (let i = start; i <= last; i++) arc = (arc << 7n) | BigInt(bytes[i]! & 0x7f);
  return arc;
}

/** The first subidentifier holds two arcs: 40 × first + second (X.690 §8.19.4). */
function firstArcs(value: number | bigint): string {
  if (value < 80) return value < 40 ? `0.${value}` : `1.${Number(value) - 40}`;
  return `2.${typeof value === 'bigint' ? value - 80n : value - 80}`;
}

/**
 * Content octets of the OBJECT IDENTIFIER with this dotted text. Arcs must lie in 0 … 2^31 - 1: longer ones are legal,
 * but widespread parsers refuse them, so Writ never writes one.
 */
export function encodeOidContent(dotted: string): Uint8Array {
  if (!/^[0-2](\.(0|[1-9][0-9]{0,9}))+$/.test(dotted)) throw notAnOid();
  const arcs = dotted.split('.').map(Number);
  const [first, second, ...rest] = arcs as [number, number, ...number[]];
  if ((first < 2 && second > 39) || second > 0x7fff_ffff - 80) throw notAnOid();
  const octets: number[] = [];
  for (const arc of [first * 40 + second, ...rest]) {
    if (arc > 0x7fff_ffff) throw notAnOid();
    for (let shift = 28; shift > 0; shift -= 7) {
      if (arc >>> shift !== 0) octets.push(((arc >>> shift) & 0x7f) | 0x80);
    }
    octets.push(arc & 0x7f);
  }
  return new Uint8Array(octets);
}

function notAnOid(): WritError {
  return new WritError('bad_der', 'not an object identifier that Writ can write', {
    remedy: 'Use dotted decimal arcs, each at most 2147483647.',
  });
}
