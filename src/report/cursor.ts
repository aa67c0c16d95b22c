import { hash } from 'node:crypto';
import { WritError } from '../base/error.ts';

/**
 * Where the next page of a listing begins: in which partition, and after which key there: a ledger index (8 octets), a
 * serial number (20), or nothing for the beginning of the partition.
 */
export interface Position {
  readonly partition: number;
  readonly key: Uint8Array;
}

const VERSION = 1;
const HEADER = 13;
const KEY_SIZES: readonly number[] = [0, 8, 20];

/**
 * Cursors are opaque text of at most 44 characters. They carry a position and 8 octets of a digest of `listing` (its
 * kind and all of its filters), so that a cursor of one listing is not taken for a place in another. They grant nothing
 * and hide nothing, hence no key: whoever makes one up gets rows that he may list anyway.
 */
export function encodeCursor(listing: string, { partition, key }: Position): string {
  const bytes = Buffer.alloc(HEADER + key.length);
  bytes[0] = VERSION;
  bytes.set(digest(listing), 1);
  bytes.writeUInt32BE(partition, 9);
  bytes.set(key, HEADER);
  return bytes.toString('base64url');
}

/** Throws `bad_cursor` for text that `encodeCursor` did not make for this listing. */
export function decodeCursor(listing: string, text: string): Position {
  const bytes = Buffer.from(text, 'base64url');
  const sound =
    KEY_SIZES.includes(bytes.length - HEADER) &&
    bytes[0] === VERSION &&
    bytes.subarray(1, 9).equals(digest(listing)) &&
    bytes.toString('base64url') === text;
  if (sound) return { partition: bytes.readUInt32BE(9), key: new Uint8Array(bytes.subarray(HEADER)) };
  throw new WritError('bad_cursor', 'The cursor is not one that this listing gave out.', {
    field: '/cursor',
    remedy: 'Repeat the filters of the first page unchanged, or begin again without a cursor.',
  });
}

function digest(listing: string): Uint8Array {
  return hash('sha256', listing, 'buffer').subarray(0, 8);
}
