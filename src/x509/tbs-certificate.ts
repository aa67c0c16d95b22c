import { WritError } from '../base/error.ts';
import { contextConstructed } from '../der/tag.ts';
import { encodeTime } from '../der/time.ts';
import { encode, integer, sequence, unsignedInteger } from '../der/writer.ts';
import { encodeSignatureAlgorithm, type SignatureAlgorithm } from './algorithm.ts';
import { type Extension, encodeExtensions } from './extension.ts';
import { assembleSigned } from './signed.ts';

/** What is written into a TBSCertificate (RFC 5280 §4.1.2). Always version 3. */
export interface TbsCertificateFields {
  /** Big-endian octets, taken as unsigned; 1 … 20 of them, positive, and at most 159 bits. */
  readonly serial: Uint8Array;
  /** The issuer's. */
  readonly algorithm: SignatureAlgorithm;
  /** DER Name: the issuer's subject, octet by octet. */
  readonly issuer: Uint8Array;
  /** Milliseconds since the Unix epoch, whole seconds. */
  readonly notBefore: number;
  readonly notAfter: number;
  /** DER Name; `encodeName([])` is the empty one. */
  readonly subject: Uint8Array;
  /** DER SubjectPublicKeyInfo. */
  readonly spki: Uint8Array;
  /** In the order in which they shall stand; at least one. */
  readonly extensions: readonly Extension[];
}

/** Encodes a TBSCertificate from its fields: for authorities and whatever else is rare. Leaves have `leaf-template.ts`. */
export function encodeTbsCertificate(fields: TbsCertificateFields): Uint8Array {
  if (fields.extensions.length === 0) throw new WritError('bad_certificate', 'a certificate without extensions');
  return sequence(
    encode(contextConstructed(0), integer(2)),
    unsignedInteger(fields.serial),
    encodeSignatureAlgorithm(fields.algorithm),
    fields.issuer,
    sequence(encodeTime(fields.notBefore), encodeTime(fields.notAfter)),
    fields.subject,
    fields.spki,
    encode(contextConstructed(3), encodeExtensions(fields.extensions)),
  );
}

/** The certificate: what was signed, how, and the signature as its algorithm has it. */
export function assembleCertificate(tbs: Uint8Array, algorithm: SignatureAlgorithm, signature: Uint8Array): Uint8Array {
  return assembleSigned(tbs, algorithm, signature);
}
