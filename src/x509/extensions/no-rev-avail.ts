import { finish, openDer, readNull } from '../../der/reader.ts';
import { nullValue } from '../../der/writer.ts';

/**
 * Says that nothing about revocation is published for this certificate (RFC 9608 §2), because it does not live long
 * enough. Never together with pointers to CRLs or OCSP, never in a CA certificate.
 */
export const NO_REV_AVAIL = '2.5.29.56';

/** The value is NULL, and says that it is there; anything else is `bad_der`. */
export function checkNoRevAvail(value: Uint8Array): true {
  const outer = openDer(value, 'noRevAvail');
  readNull(outer, '');
  finish(outer);
  return true;
}

export function encodeNoRevAvail(): Uint8Array {
  return nullValue();
}
