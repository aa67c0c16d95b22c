import { fail, finish, openDer, readOctetString } from '../../der/reader.ts';
import { octetString } from '../../der/writer.ts';

/** id-pkix-ocsp-nonce: binds an OCSP answer to its question (RFC 9654 §2.1). */
export const OCSP_NONCE = '1.3.6.1.5.5.7.48.1.2';

/** Octets (RFC 9654 §2.1): outside of these a question is malformed. */
const SHORTEST = 1;
const LONGEST = 128;

/** The nonce's octets: a view. */
export function decodeOcspNonce(value: Uint8Array): Uint8Array {
  const outer = openDer(value, 'nonce');
  const nonce = readOctetString(outer, '');
  finish(outer);
  if (nonce.length < SHORTEST || nonce.length > LONGEST) fail(outer, '', `not ${SHORTEST} … ${LONGEST} octets long`);
  return nonce;
}

export function encodeOcspNonce(nonce: Uint8Array): Uint8Array {
  return octetString(nonce);
}
