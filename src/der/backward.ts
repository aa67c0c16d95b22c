import { WritError } from '../base/error.ts';
import { octets } from '../base/octets.ts';
import { headerLength, writeHeader } from './writer.ts';

/**
 * DER written from its end to its beginning, into one buffer: when a header is due, its length is known, and nothing is
 * copied twice. For the few structures that are written for every certificate; `writer.ts` is easier to read.
 */
export interface Backward {
  readonly bytes: Uint8Array;
  /** The first octet written so far. */
  at: number;
}

/** Starts at the end of a buffer of `capacity` octets, which the whole encoding must fit. */
export function backward(capacity: number): Backward {
  return { bytes: octets(capacity), at: capacity };
}

/** Puts octets before what is written. */
export function prepend(out: Backward, part: Uint8Array): void {
  out.bytes.set(part, claim(out, part.length));
}

/** Makes one value of all that lies before `end`: puts `tag` and the length before it. */
export function prependHeader(out: Backward, tag: number, end: number): void {
  const length = end - out.at;
  writeHeader(out.bytes, claim(out, headerLength(length)), tag, length);
}

/** The encoding: a view of the buffer. */
export function written(out: Backward): Uint8Array {
  return out.bytes.subarray(out.at);
}

function claim(out: Backward, length: number): number {
  if (out.at < length) throw new WritError('internal', 'an encoding is longer than the buffer that was made for it');
  out.at -= length;
  return out.at;
}
