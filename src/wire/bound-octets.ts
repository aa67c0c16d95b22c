import { sha256 } from '../base/sha256.ts';

const PREFIX = Buffer.from('writ attestation 1\0', 'latin1');

/**
 * What a key of the bearer signs so that its proof is good for one challenge and one key: `writ attestation 1` 00 challenge
 * 00 SHA-256(SubjectPublicKeyInfo of the CSR). Never changes: it is on the wire. `challenge` is its text, ASCII.
 */
export function boundOctets(challenge: string, spki: Uint8Array): Uint8Array {
  return Buffer.concat([PREFIX, Buffer.from(`${challenge}\0`, 'latin1'), sha256(spki)]);
}

const NONCE_DIGITS = 32;

/** The nonce that Azure's metadata service is asked with: the first hexadecimal digits of SHA-256 over the same octets. */
export function azureNonce(challenge: string, spki: Uint8Array): string {
  return Buffer.from(sha256(boundOctets(challenge, spki)))
    .toString('hex')
    .slice(0, NONCE_DIGITS);
}
