/**
 * A DER encoding as a tree that can be changed and put together again with lengths that fit, so that a mutation far
 * inside is not refused at the first octet. It reads leniently and on purpose without the reader under test.
 */
export interface DerNode {
  tag: number;
  /** Octets before the children: the count of unused bits of a BIT STRING that holds DER. */
  prefix: Uint8Array;
  /** Children, or the octets of a value that holds none. */
  content: DerNode[] | Uint8Array;
}

const DEEPEST = 24;
const NONE = new Uint8Array(0);

/** The values that `bytes` consists of; undefined when it is not a whole number of them. */
export function readTree(bytes: Uint8Array, depth = 0): DerNode[] | undefined {
  const nodes: DerNode[] = [];
  let at = 0;
  while (at < bytes.length) {
    const header = readHeader(bytes, at);
    if (header === undefined || depth > DEEPEST) return undefined;
    nodes.push(nodeOf(bytes[at]!, bytes.subarray(header.start, header.end), depth));
    at = header.end;
  }
  return nodes;
}

function nodeOf(tag: number, content: Uint8Array, depth: number): DerNode {
  const isBitString = tag === 0x03 && content[0] === 0;
  const mayHold = (tag & 0x20) !== 0 || tag === 0x04 || isBitString;
  const prefix = isBitString ? content.subarray(0, 1) : NONE;
  const children =
    mayHold && content.length > prefix.length ? readTree(content.subarray(prefix.length), depth + 1) : [];
  if (children === undefined || children.length === 0) return { tag, prefix: NONE, content };
  return { tag, prefix, content: children };
}

function readHeader(bytes: Uint8Array, at: number): { start: number; end: number } | undefined {
  let start = at + 2;
  let length = bytes[at + 1];
  if (length === undefined) return undefined;
  if (length >= 0x80) {
    const octets = length & 0x7f;
    if (octets === 0 || octets > 3) return undefined;
    length = 0;
    for (let i = 0; i < octets; i++) length = length * 256 + (bytes[start++] ?? 0);
  }
  return start + length <= bytes.length ? { start, end: start + length } : undefined;
}

/** Writes from the end to the front, so that each length is known when its header's turn comes. */
export function writeTree(nodes: readonly DerNode[]): Uint8Array {
  const bytes = new Uint8Array(largestSize(nodes));
  return bytes.subarray(writeBefore(bytes, bytes.length, nodes));
}

function writeBefore(bytes: Uint8Array, end: number, nodes: readonly DerNode[]): number {
  let at = end;
  for (let i = nodes.length - 1; i >= 0; i--) {
    const { tag, prefix, content } = nodes[i]!;
    const nodeEnd = at;
    if (content instanceof Uint8Array) at = put(bytes, at, content);
    else at = writeBefore(bytes, at, content);
    at = put(bytes, at, prefix);
    at = put(bytes, at, lengthOctets(nodeEnd - at));
    at = put(bytes, at, [tag]);
  }
  return at;
}

/** Puts octets so that they end at `end`; gives where they begin. */
function put(bytes: Uint8Array, end: number, octets: ArrayLike<number>): number {
  bytes.set(octets, end - octets.length);
  return end - octets.length;
}

/** With four octets for each length. */
function largestSize(nodes: readonly DerNode[]): number {
  let size = 0;
  for (const { prefix, content } of nodes) {
    size += 5 + prefix.length + (content instanceof Uint8Array ? content.length : largestSize(content));
  }
  return size;
}

/** X.690 §8.1.3, in the fewest octets; up to 2^24 - 1. */
export function lengthOctets(length: number): number[] {
  if (length < 0x80) return [length];
  if (length < 0x100) return [0x81, length];
  if (length < 0x10000) return [0x82, length >> 8, length & 0xff];
  return [0x83, length >> 16, (length >> 8) & 0xff, length & 0xff];
}

export interface Place {
  readonly list: DerNode[];
  readonly at: number;
}

/** Each node as its place in the list that holds it. */
export function places(nodes: DerNode[], found: Place[] = []): Place[] {
  for (let at = 0; at < nodes.length; at++) {
    found.push({ list: nodes, at });
    const { content } = nodes[at]!;
    if (!(content instanceof Uint8Array)) places(content, found);
  }
  return found;
}
