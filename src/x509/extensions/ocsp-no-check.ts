import { finish, openDer, readNull } from '../../der/reader.ts';
import { nullValue } from '../../der/writer.ts';

/**
 * id-pkix-ocsp-nocheck: nobody need ask whether this OCSP responder's certificate is revoked, because it does not live
 * long (RFC 6960 §4.2.2.2.1).
 */
export const OCSP_NO_CHECK = '1.3.6.1.5.5.7.48.1.5';

/** The value is NULL; anything else is `bad_der`. */
export function checkOcspNoCheck(value: Uint8Array): true {
  const outer = openDer(value, 'ocspNoCheck');
  readNull(outer, '');
  finish(outer);
  return true;
}

export function encodeOcspNoCheck(): Uint8Array {
  return nullValue();
}
