import {
  type Cursor,
  enter,
  enterSequence,
  fail,
  finish,
  openSequence,
  peekTag,
  readAny,
  readBitStringOctets,
} from '../der/reader.ts';
import { contextConstructed, SEQUENCE } from '../der/tag.ts';
import { encode, encodeList, sequence } from '../der/writer.ts';
import { type Extension, encodeExtensions, findExtension, readExtensions } from './extension.ts';
import { decodeOcspNonce, encodeOcspNonce, OCSP_NONCE } from './extensions/ocsp-nonce.ts';
import { readGeneralName } from './general-name.ts';
import { type CertId, readCertId } from './ocsp-cert-id.ts';

/** An OCSP question (RFC 6960 §4.1.1). All bytes are views into what was parsed. */
export interface OcspRequest {
  /** At least one, in the order of the question. */
  readonly certificates: readonly CertId[];
  /** RFC 9654; 1 … 128 octets. */
  readonly nonce: Uint8Array | undefined;
}

/** Limit of a question, in octets: room for as many certificates as one may ask about, and some. */
export const MAX_OCSP_REQUEST_BYTES = 8192;

/** Certificates that one question may ask about. */
export const MAX_OCSP_CERTIFICATES = 32;

const VERSION = contextConstructed(0);
const REQUESTOR = contextConstructed(1);
const REQUEST_EXTENSIONS = contextConstructed(2);
const SIGNATURE = contextConstructed(0);
const CERTIFICATES = contextConstructed(0);
const SINGLE_EXTENSIONS = contextConstructed(0);

/**
 * Parses one DER question. Throws `bad_der` for what is malformed, `too_large` beyond the limits above, and
 * `bad_request` for a critical extension that Writ does not know, since it may change what is asked (§4.4).
 *
 * Who asks makes no difference, so the name of the requestor and a signature are read for their form and passed over.
 */
export function parseOcspRequest(der: Uint8Array): OcspRequest {
  const frame = openSequence(der, 'ocspRequest', MAX_OCSP_REQUEST_BYTES);
  const cursor = enterSequence(frame, 'tbsRequest');
  // Version 1 is the default, and DER leaves defaults out; there is no other.
  if (peekTag(cursor) === VERSION) fail(cursor, 'version', 'present, where only the default is known');
  if (peekTag(cursor) === REQUESTOR) {
    const explicit = enter(cursor, REQUESTOR, 'requestorName');
    readGeneralName(explicit, '');
    finish(explicit);
  }
  const certificates = readRequestList(cursor);
  let nonce: Uint8Array | undefined;
  if (peekTag(cursor) === REQUEST_EXTENSIONS) {
    const extensions = readKnown(cursor, REQUEST_EXTENSIONS, 'requestExtensions');
    const found = findExtension(extensions, OCSP_NONCE);
    nonce = found && decodeOcspNonce(found.value);
  }
  finish(cursor);
  if (peekTag(frame) === SIGNATURE) {
    const explicit = enter(frame, SIGNATURE, 'optionalSignature');
    const fields = enterSequence(explicit, 'signature');
    readAny(fields, 'signatureAlgorithm');
    readBitStringOctets(fields, 'signature');
    if (peekTag(fields) === CERTIFICATES) readAny(fields, 'certs');
    finish(fields);
    finish(explicit);
  }
  finish(frame);
  return { certificates, nonce };
}

function readRequestList(cursor: Cursor): CertId[] {
  const list = enterSequence(cursor, 'requestList');
  const certificates: CertId[] = [];
  while (list.at < list.end) {
    if (certificates.length === MAX_OCSP_CERTIFICATES) {
      fail(list, '', 'asks about too many certificates at once', list.at, {
        code: 'too_large',
        remedy: `Ask about at most ${MAX_OCSP_CERTIFICATES} certificates.`,
      });
    }
    const single = enterSequence(list, 'request');
    certificates.push(readCertId(single, 'reqCert'));
    if (peekTag(single) === SINGLE_EXTENSIONS) readKnown(single, SINGLE_EXTENSIONS, 'singleRequestExtensions');
    finish(single);
  }
  if (certificates.length === 0) fail(list, '', 'empty');
  return certificates;
}

/** Extensions of which no critical one is unknown. */
function readKnown(cursor: Cursor, tag: number, label: string): readonly Extension[] {
  const at = cursor.at;
  const explicit = enter(cursor, tag, label);
  const extensions = readExtensions(explicit, '');
  finish(explicit);
  for (const { oid, critical } of extensions) {
    if (critical && (oid !== OCSP_NONCE || tag !== REQUEST_EXTENSIONS)) {
      fail(cursor, label, `the critical extension ${oid} is not known`, at, {
        code: 'bad_request',
        remedy: 'Leave it out, or do not mark it critical.',
      });
    }
  }
  return extensions;
}

/** Encodes an unsigned question about certificates, each given as a whole CertID (`encodeCertId`). */
export function encodeOcspRequest(certificates: readonly Uint8Array[], nonce?: Uint8Array): Uint8Array {
  const list = encodeList(
    SEQUENCE,
    certificates.map((id) => sequence(id)),
  );
  if (nonce === undefined) return sequence(sequence(list));
  const extensions = encodeExtensions([{ oid: OCSP_NONCE, critical: false, value: encodeOcspNonce(nonce) }]);
  return sequence(sequence(list, encode(REQUEST_EXTENSIONS, extensions)));
}
