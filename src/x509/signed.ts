import { WritError } from '../base/error.ts';
import { sameBytes } from '../der/bytes.ts';
import { type Cursor, enterSequence, finish, openDer, readBitStringOctets, readWhole } from '../der/reader.ts';
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

/** Opens the frame; the caller reads what is signed from the result, then calls `closeSigned`. */
export function openSigned(der: Uint8Array, label: string, limit?: number): Cursor {
  const outer = openDer(der, label, limit);
  const fields = enterSequence(outer, 'value');
  finish(outer);
  return fields;
}

/** Reads the outer AlgorithmIdentifier as it stands and the signature's octets, and demands the end. */
export function closeSigned(fields: Cursor): { algorithm: Uint8Array; signature: Uint8Array } {
  const algorithm = readWhole(fields, SEQUENCE, 'signatureAlgorithm');
  const signature = readBitStringOctets(fields, 'signatureValue');
  finish(fields);
  return { algorithm, signature };
}

/** The algorithm is said twice, inside and outside of what is signed; both must be the same (RFC 5280 §4.1.1.2). */
export function demandSameAlgorithm(inner: Uint8Array, outer: Uint8Array, label: string): void {
  if (sameBytes(inner, outer)) return;
  throw new WritError('bad_certificate', `${label}: signatureAlgorithm differs from the algorithm that is signed`, {
    field: `${label}.signatureAlgorithm`,
    remedy: 'Both fields must be the same (RFC 5280 §4.1.1.2).',
  });
}
