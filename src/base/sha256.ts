import { hash } from 'node:crypto';

const LENGTH = 32;

/** SHA-256. By way of text, since a digest that Node makes octets of costs three times as much. */
export function sha256(data: string | Uint8Array): Uint8Array {
  const text = hash('sha256', data, 'latin1');
  const digest = new Uint8Array(LENGTH);
  for (let i = 0; i < LENGTH; i++) digest[i] = text.charCodeAt(i);
  return digest;
}
