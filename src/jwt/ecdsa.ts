import { enterSequence, finish, openDer, readInteger } from '../der/reader.ts';

/**
 * Turns an ECDSA signature as X.509 has it (DER `SEQUENCE { r, s }`) into that of RFC 7518 §3.4: both numbers in `size`
 * octets each, one after the other. Throws `bad_der` for what is no such signature.
 */
export function joseSignature(der: Uint8Array, size: number): Uint8Array {
  const outer = openDer(der, 'signature');
  const pair = enterSequence(outer, '');
  const joined = new Uint8Array(2 * size);
  for (const [at, label] of [
    [size, 'r'],
    [2 * size, 's'],
  ] as const) {
    const content = readInteger(pair, label);
    // A zero octet keeps a number with its highest bit set positive.
    const number = content[0] === 0 ? content.subarray(1) : content;
    joined.set(number, at - number.length);
  }
  finish(pair);
  finish(outer);
  return joined;
}
