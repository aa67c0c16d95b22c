import { isWritError, WritError } from '../base/error.ts';
import { readOid } from '../der/oid.ts';
import {
  type Cursor,
  enter,
  enterSequence,
  enterSet,
  fail,
  finish,
  openSequence,
  readAny,
  readSmallInteger,
} from '../der/reader.ts';
import { contextConstructed } from '../der/tag.ts';
import { compareEncodings, encode, integer, oid, sequence, setOf } from '../der/writer.ts';
import { type SignatureAlgorithm, verifySignature } from './algorithm.ts';
import { type Extension, encodeExtensions, readExtensions } from './extension.ts';
import { type Name, readName } from './name.ts';
import { type PublicKey, readPublicKey } from './public-key.ts';
import { assembleSigned, readSignature } from './signed.ts';

/** A certificate signing request (PKCS #10, RFC 2986). All bytes are views into what was parsed. */
export interface Csr {
  /** The whole request. */
  readonly raw: Uint8Array;
  /** CertificationRequestInfo: what is signed. */
  readonly info: Uint8Array;
  readonly subject: Name;
  readonly publicKey: PublicKey;
  /** What the requester asks for in the attribute extensionRequest (RFC 2985 §5.4.2); none of it is granted thereby. */
  readonly extensions: readonly Extension[];
  readonly signatureAlgorithm: SignatureAlgorithm;
  readonly signature: Uint8Array;
}

/** Limit of a request, in octets. The largest one known, ML-DSA-87 with names, has about 8 KiB. */
const MAX_CSR_BYTES = 16_384;
const EXTENSION_REQUEST = '1.2.840.113549.1.9.14';

/**
 * Parses one DER request: `bad_der` for its form, `bad_csr` for a key or an algorithm that is refused. Proof of
 * possession is not verified yet; see `verifyCsr`.
 */
export function parseCsr(der: Uint8Array): Csr {
  try {
    return readCsr(der);
  } catch (error) {
    if (!isWritError(error, 'bad_certificate')) throw error;
    const { field, remedy } = error;
    throw new WritError('bad_csr', error.message, { ...(field && { field }), ...(remedy && { remedy }), cause: error });
  }
}

function readCsr(der: Uint8Array): Csr {
  const frame = openSequence(der, 'certificationRequest', MAX_CSR_BYTES);
  const start = frame.at;
  const cursor = enterSequence(frame, 'certificationRequestInfo');
  const info = frame.bytes.subarray(start, frame.at);
  if (readSmallInteger(cursor, 'version') !== 0) fail(cursor, 'version', 'not 0', start);
  const subject = readName(cursor, 'subject');
  const publicKey = readPublicKey(cursor, 'subjectPKInfo');
  const extensions = readAttributes(cursor);
  finish(cursor);
  return { raw: der, info, subject, publicKey, extensions, ...readSignature(frame) };
}

/** Attributes other than extensionRequest are checked for form and ignored. */
function readAttributes(cursor: Cursor): Extension[] {
  const attributes = enter(cursor, contextConstructed(0), 'attributes');
  let extensions: Extension[] | undefined;
  let previous: Uint8Array | undefined;
  while (attributes.at < attributes.end) {
    const start = attributes.at;
    const attribute = enterSequence(attributes, 'attribute');
    const type = readOid(attribute, 'type');
    const values = enterSet(attribute, 'values');
    finish(attribute);
    if (type === EXTENSION_REQUEST) {
      if (extensions !== undefined) fail(attributes, 'extensionRequest', 'occurs twice', start);
      extensions = readExtensions(values, '');
      finish(values);
    } else {
      do readAny(values, 'value');
      while (values.at < values.end);
    }
    const whole = attributes.bytes.subarray(start, attributes.at);
    if (previous !== undefined && compareEncodings(previous, whole) >= 0) {
      fail(attributes, '', 'SET OF not in ascending order', start);
    }
    previous = whole;
  }
  return extensions ?? [];
}

/** Proof of possession: the request is signed by the key that it names. Otherwise `bad_csr`. */
export function verifyCsr(csr: Csr): void {
  let verified = false;
  let cause: unknown;
  try {
    verified = verifySignature(csr.signatureAlgorithm, csr.publicKey, csr.info, csr.signature);
  } catch (error) {
    cause = error;
  }
  if (verified) return;
  throw new WritError('bad_csr', 'certificationRequest: the signature is not one of the key that it names', {
    field: 'certificationRequest.signature',
    remedy: 'Sign the request with the private key whose public key it holds.',
    cause,
  });
}

export interface CsrFields {
  /** DER SubjectPublicKeyInfo. */
  readonly spki: Uint8Array;
  readonly algorithm: SignatureAlgorithm;
  /** DER Name; absent: the empty name. */
  readonly subject?: Uint8Array;
  readonly extensions?: readonly Extension[];
  /** Signs octets as X.509 wants it (`Signer` of `keys/` does). */
  readonly sign: (message: Uint8Array) => Promise<Uint8Array>;
}

/** Makes a request. The private key stays behind `sign`. */
export async function encodeCsr({ spki, algorithm, subject, extensions, sign }: CsrFields): Promise<Uint8Array> {
  const requested =
    extensions === undefined || extensions.length === 0
      ? []
      : [sequence(oid(EXTENSION_REQUEST), setOf(encodeExtensions(extensions)))];
  const info = sequence(integer(0), subject ?? sequence(), spki, encode(contextConstructed(0), ...requested));
  return assembleSigned(info, algorithm, await sign(info));
}
