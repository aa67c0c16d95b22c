import { backward, prepend, prependHeader, written } from '../der/backward.ts';
import { type Cursor, fail, finish, readBitStringOctets } from '../der/reader.ts';
import { BIT_STRING, SEQUENCE } from '../der/tag.ts';
import { encodeSignatureAlgorithm, readSignatureAlgorithm, type SignatureAlgorithm } from './algorithm.ts';

const NO_UNUSED_BITS = Uint8Array.of(0);
/** Room for the headers of SEQUENCE and BIT STRING, six octets each at most, and the count of unused bits. */
const HEADERS = 13;

/** The frame that certificates, CSRs and CRLs share: what is signed, by which algorithm, and the signature. */
export function assembleSigned(
  toBeSigned: Uint8Array,
  algorithm: SignatureAlgorithm,
  signature: Uint8Array,
): Uint8Array {
  const identifier = encodeSignatureAlgorithm(algorithm);
  const out = backward(toBeSigned.length + identifier.length + signature.length + HEADERS);
  const end = out.at;
  prepend(out, signature);
  prepend(out, NO_UNUSED_BITS);
  prependHeader(out, BIT_STRING, end);
  prepend(out, identifier);
  prepend(out, toBeSigned);
  prependHeader(out, SEQUENCE, end);
  return written(out);
}

/**
 * Reads what follows the signed part, to the end.
 *
 * Certificates and CRLs name the algorithm a second time, inside of what is signed. Where `signed` gives that, the two
 * must be equal (RFC 5280 §4.1.1.2, §5.1.1.2): an attacker could change the outer one.
 */
export function readSignature(
  frame: Cursor,
  signed?: SignatureAlgorithm,
): { signatureAlgorithm: SignatureAlgorithm; signature: Uint8Array } {
  const start = frame.at;
  const signatureAlgorithm = readSignatureAlgorithm(frame, 'signatureAlgorithm');
  if (signed !== undefined && signed !== signatureAlgorithm) {
    const remedy = 'Both algorithm fields must be the same (RFC 5280 §4.1.1.2).';
    fail(frame, 'signatureAlgorithm', 'differs from the one that is signed', start, {
      code: 'bad_certificate',
      remedy,
    });
  }
  const signature = readBitStringOctets(frame, 'signatureValue');
  finish(frame);
  return { signatureAlgorithm, signature };
}
