import { WritError } from './error.ts';
import { isId } from './id.ts';

const CROCKFORD = '0123456789abcdefghjkmnpqrstvwxyz';

/** The 128 bits of an id as 16 octets. Throws `internal` for what is no id. */
export function idOctets(id: string): Uint8Array {
  if (!isId(id)) throw new WritError('internal', 'an id of the wrong shape was about to be packed');
  let bits = 0n;
  for (const character of id) bits = (bits << 5n) | BigInt(CROCKFORD.indexOf(character));
  const octets = new Uint8Array(16);
  for (let at = 15; at >= 0; at--, bits >>= 8n) octets[at] = Number(bits & 0xffn);
  return octets;
}

/** The id that 16 octets hold; any 16 octets do. */
export function idOfOctets(octets: Uint8Array): string {
  let bits = 0n;
  for (const octet of octets) bits = (bits << 8n) | BigInt(octet);
  let id = '';
  for (let at = 0; at < 26; at++, bits >>= 5n) id = CROCKFORD[Number(bits & 31n)] + id;
  return id;
}
