import { WritError } from '../base/error.ts';
import { TILE_WIDTH } from './tile.ts';

/** The longest entry that a bundle can carry: its length is a uint16 (C2SP tlog-tiles, log entries). */
export const MAX_ENTRY_BYTES = 65_535;

/** An entry bundle: each entry after its length in two octets, big-endian. Takes 1 … 256 entries. */
export function encodeBundle(entries: readonly Uint8Array[]): Uint8Array {
  const bundle = Buffer.allocUnsafe(entries.reduce((sum, entry) => sum + 2 + entry.length, 0));
  let at = 0;
  for (const entry of entries) {
    if (entry.length > MAX_ENTRY_BYTES) throw new WritError('too_large', 'a ledger entry is longer than 65,535 octets');
    at = bundle.writeUInt16BE(entry.length, at);
    bundle.set(entry, at);
    at += entry.length;
  }
  return bundle;
}

/** The entries of a bundle of exactly `width` entries; anything else is `bad_note`. */
export function parseBundle(bundle: Uint8Array, width: number): Uint8Array[] {
  if (width < 1 || width > TILE_WIDTH) throw new WritError('bad_note', 'an entry bundle has 1 to 256 entries');
  const entries: Uint8Array[] = [];
  let at = 0;
  while (at < bundle.length) {
    const length = at + 2 <= bundle.length ? bundle[at]! * 256 + bundle[at + 1]! : Number.POSITIVE_INFINITY;
    if (at + 2 + length > bundle.length) {
      throw new WritError('bad_note', 'an entry bundle ends inside an entry', { field: `offset ${at}` });
    }
    entries.push(bundle.subarray(at + 2, at + 2 + length));
    at += 2 + length;
    if (entries.length > width) break;
  }
  if (entries.length !== width)
    throw new WritError('bad_note', 'an entry bundle has not the number of entries it should');
  return entries;
}
