import { sha256 } from '../base/sha256.ts';

const PREFIX = Buffer.from('writ attestation 1\0', 'latin1');

/**
 * What a key of the bearer signs so that its proof is good for one challenge and one key: `writ attestation 1` 00 challenge
 * 00 SHA-256(SubjectPublicKeyInfo of the CSR). Never changes: it is on the wire. `challenge` is its text, ASCII.
 */
export function boundOctets(challenge: string, spki: Uint8Array): Uint8Array {
  return Buffer.concat([PREFIX, Buffer.from(`${challenge}\0`, 'latin1'), sha256(spki)]);
}
