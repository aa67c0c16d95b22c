import { sameBytes } from '../der/bytes.ts';
import { type Cursor, fail, finish, readBitStringOctets, readWhole } from '../der/reader.ts';
import { SEQUENCE } from '../der/tag.ts';
import { bitString, sequence } from '../der/writer.ts';
import { encodeSignatureAlgorithm, type SignatureAlgorithm } from './algorithm.ts';

/** The frame that certificates, CSRs and CRLs share: what is signed, by which algorithm, and the signature. */
export function assembleSigned(
  toBeSigned: Uint8Array,
  algorithm: SignatureAlgorithm,
  signature: Uint8Array,
): Uint8Array {
  return sequence(toBeSigned, encodeSignatureAlgorithm(algorithm), bitString(signature));
}

/**
 * Reads what follows the signed part, to the end: the AlgorithmIdentifier as it stands and the signature's octets.
 *
 * Certificates and CRLs say the algorithm a second time, inside of what is signed. Where `inner` gives that, the two
 * must be equal (RFC 5280 §4.1.1.2, §5.1.1.2), or an attacker could change the one that is not signed.
 */
export function readSignature(frame: Cursor, inner?: Uint8Array): { algorithm: Uint8Array; signature: Uint8Array } {
  const start = frame.at;
  const algorithm = readWhole(frame, SEQUENCE, 'signatureAlgorithm');
  if (inner !== undefined && !sameBytes(inner, algorithm)) {
    const remedy = 'Both algorithm fields must be the same (RFC 5280 §4.1.1.2).';
    fail(frame, 'signatureAlgorithm', 'differs from the one that is signed', start, {
      code: 'bad_certificate',
      remedy,
    });
  }
  const signature = readBitStringOctets(frame, 'signatureValue');
  finish(frame);
  return { algorithm, signature };
}
