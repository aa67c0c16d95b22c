import { fail, finish, openDer, readBitString } from '../../der/reader.ts';
import { namedBits } from '../../der/writer.ts';

export const KEY_USAGE = '2.5.29.15';

/** RFC 5280 §4.2.1.3; the place in the list is the number of the bit. */
const BITS = [
  'digitalSignature',
  'nonRepudiation',
  'keyEncipherment',
  'dataEncipherment',
  'keyAgreement',
  'keyCertSign',
  'cRLSign',
  'encipherOnly',
  'decipherOnly',
] as const;

export type KeyUsage = (typeof BITS)[number];

/** The usages that are set, in the order of their bits. At least one is (RFC 5280 §4.2.1.3). */
export function decodeKeyUsage(value: Uint8Array): KeyUsage[] {
  const outer = openDer(value, 'keyUsage');
  const { bytes, unused } = readBitString(outer, '');
  finish(outer);
  const count = bytes.length * 8 - unused;
  const usages: KeyUsage[] = [];
  for (let bit = 0; bit < count; bit++) {
    if ((bytes[bit >> 3]! & (0x80 >> (bit & 7))) === 0) continue;
    const usage = BITS[bit];
    if (usage === undefined) fail(outer, '', `bit ${bit} has no meaning`);
    usages.push(usage);
  }
  if (count === 0 || (bytes[(count - 1) >> 3]! & (0x80 >> ((count - 1) & 7))) === 0) {
    fail(outer, '', 'no bit set, or zero bits at the end (X.690 §11.2.2)');
  }
  return usages;
}

export function encodeKeyUsage(usages: readonly KeyUsage[]): Uint8Array {
  return namedBits(BITS.map((usage) => usages.includes(usage)));
}
