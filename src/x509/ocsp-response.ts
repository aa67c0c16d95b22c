import { WritError } from '../base/error.ts';
import { backward, prepend, prependHeader, written } from '../der/backward.ts';
import { readOid } from '../der/oid.ts';
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
  readContent,
  readEnumerated,
  readOctetString,
} from '../der/reader.ts';
import { BIT_STRING, contextConstructed, contextPrimitive, OCTET_STRING, SEQUENCE } from '../der/tag.ts';
import { encodeGeneralizedTime, readGeneralizedTime } from '../der/time.ts';
import { encode, enumerated, octetString, oid, sequence } from '../der/writer.ts';
import { encodeSignatureAlgorithm, readSignatureAlgorithm, type SignatureAlgorithm } from './algorithm.ts';
import { findExtension, readExtensions } from './extension.ts';
import { decodeOcspNonce, OCSP_NONCE } from './extensions/ocsp-nonce.ts';
import { decodeReasonCode, encodeReasonCode, type RevocationReason } from './extensions/reason-code.ts';
import { type Name, readName } from './name.ts';
import { type CertId, readCertId } from './ocsp-cert-id.ts';

/** OCSPResponseStatus (RFC 6960 §4.2.1); 4 is not used. */
const STATUSES = {
  successful: 0,
  malformedRequest: 1,
  internalError: 2,
  tryLater: 3,
  sigRequired: 5,
  unauthorized: 6,
} as const;

/** Why there is no answer. */
export type OcspFault = Exclude<keyof typeof STATUSES, 'successful'>;

/** What is known of one certificate (RFC 6960 §2.2). Times in milliseconds since the Unix epoch, whole seconds. */
export type OcspStatus =
  | { readonly kind: 'good' }
  | { readonly kind: 'revoked'; readonly at: number; readonly reason?: RevocationReason }
  | { readonly kind: 'unknown' };

export type OcspResponse =
  | { readonly kind: 'fault'; readonly fault: OcspFault }
  | { readonly kind: 'basic'; readonly basic: BasicOcspResponse };

/** BasicOCSPResponse (RFC 6960 §4.2.1). All bytes are views into what was parsed. */
export interface BasicOcspResponse {
  /** ResponseData: what is signed. */
  readonly tbs: Uint8Array;
  readonly signatureAlgorithm: SignatureAlgorithm;
  readonly signature: Uint8Array;
  readonly responder:
    | { readonly by: 'name'; readonly name: Name }
    /** SHA-1 of the octets in the BIT STRING of the responder's key. */
    | { readonly by: 'key'; readonly keyHash: Uint8Array };
  /** Milliseconds since the Unix epoch, as all times here. */
  readonly producedAt: number;
  readonly responses: readonly SingleOcspResponse[];
  readonly nonce: Uint8Array | undefined;
  /** DER of each certificate that came with it. */
  readonly certificates: readonly Uint8Array[];
}

export interface SingleOcspResponse {
  readonly certificate: CertId;
  readonly status: OcspStatus;
  readonly thisUpdate: number;
  readonly nextUpdate: number | undefined;
}

/** Limit of an answer, in octets. Post-quantum signatures and keys take some thousands each. */
export const MAX_OCSP_RESPONSE_BYTES = 65_536;

const BASIC = '1.3.6.1.5.5.7.48.1.1';
const EXPLICIT = [0, 1, 2].map(contextConstructed) as [number, number, number];
const GOOD = contextPrimitive(0);
const REVOKED = contextConstructed(1);
const UNKNOWN = contextPrimitive(2);
const MAX_CERTIFICATES = 8;
const MAX_RESPONSES = 256;

const FAULTS = new Map<number, keyof typeof STATUSES>(
  Object.entries(STATUSES).map(([name, code]) => [code, name as keyof typeof STATUSES]),
);

/**
 * Parses one DER answer. Throws `bad_der` for what is malformed, `bad_certificate` for a signature algorithm that Writ
 * does not take and for critical extensions, none of which it knows. No signature is verified.
 */
export function parseOcspResponse(der: Uint8Array): OcspResponse {
  const frame = openSequence(der, 'ocspResponse', MAX_OCSP_RESPONSE_BYTES);
  const status = FAULTS.get(readEnumerated(frame, 'responseStatus', 6));
  if (status === undefined) fail(frame, 'responseStatus', 'code 4 has no meaning');
  if (status !== 'successful') {
    finish(frame);
    return { kind: 'fault', fault: status };
  }
  const explicit = enter(frame, EXPLICIT[0], 'responseBytes');
  finish(frame);
  const fields = enterSequence(explicit, '');
  finish(explicit);
  if (readOid(fields, 'responseType') !== BASIC) fail(fields, 'responseType', 'not id-pkix-ocsp-basic');
  const response = readOctetString(fields, 'response');
  finish(fields);
  return { kind: 'basic', basic: parseBasic(response) };
}

function parseBasic(der: Uint8Array): BasicOcspResponse {
  const frame = openSequence(der, 'basicOcspResponse');
  const start = frame.at;
  const cursor = enterSequence(frame, 'tbsResponseData');
  const tbs = frame.bytes.subarray(start, frame.at);
  if (peekTag(cursor) === EXPLICIT[0]) fail(cursor, 'version', 'present, where only the default is known');
  const responder = readResponder(cursor);
  const producedAt = readGeneralizedTime(cursor, 'producedAt');
  const responses = readResponses(cursor);
  let nonce: Uint8Array | undefined;
  if (peekTag(cursor) === EXPLICIT[1]) {
    const found = findExtension(readUncritical(cursor, EXPLICIT[1], 'responseExtensions'), OCSP_NONCE);
    nonce = found && decodeOcspNonce(found.value);
  }
  finish(cursor);
  const signatureAlgorithm = readSignatureAlgorithm(frame, 'signatureAlgorithm');
  const signature = readBitStringOctets(frame, 'signature');
  const certificates = peekTag(frame) === EXPLICIT[0] ? readCertificates(frame) : [];
  finish(frame);
  return { tbs, signatureAlgorithm, signature, responder, producedAt, responses, nonce, certificates };
}

function readResponder(cursor: Cursor): BasicOcspResponse['responder'] {
  const byName = peekTag(cursor) === EXPLICIT[1];
  const explicit = enter(cursor, byName ? EXPLICIT[1] : EXPLICIT[2], 'responderID');
  const responder = byName
    ? ({ by: 'name', name: readName(explicit, '') } as const)
    : ({ by: 'key', keyHash: readOctetString(explicit, '') } as const);
  finish(explicit);
  return responder;
}

function readResponses(cursor: Cursor): SingleOcspResponse[] {
  const list = enterSequence(cursor, 'responses');
  const responses: SingleOcspResponse[] = [];
  while (list.at < list.end) {
    if (responses.length === MAX_RESPONSES) fail(list, '', `more than ${MAX_RESPONSES} responses`);
    const fields = enterSequence(list, 'singleResponse');
    const certificate = readCertId(fields, 'certID');
    const status = readStatus(fields);
    const thisUpdate = readGeneralizedTime(fields, 'thisUpdate');
    let nextUpdate: number | undefined;
    if (peekTag(fields) === EXPLICIT[0]) {
      const explicit = enter(fields, EXPLICIT[0], 'nextUpdate');
      nextUpdate = readGeneralizedTime(explicit, '');
      finish(explicit);
    }
    if (peekTag(fields) === EXPLICIT[1]) readUncritical(fields, EXPLICIT[1], 'singleExtensions');
    finish(fields);
    responses.push({ certificate, status, thisUpdate, nextUpdate });
  }
  if (responses.length === 0) fail(list, '', 'empty');
  return responses;
}

function readStatus(fields: Cursor): OcspStatus {
  const tag = peekTag(fields);
  if (tag === REVOKED) {
    const info = enter(fields, REVOKED, 'revoked');
    const at = readGeneralizedTime(info, 'revocationTime');
    let reason: RevocationReason | undefined;
    if (peekTag(info) === EXPLICIT[0]) reason = decodeReasonCode(readContent(info, EXPLICIT[0], 'revocationReason'));
    finish(info);
    return reason === undefined ? { kind: 'revoked', at } : { kind: 'revoked', at, reason };
  }
  if (tag !== GOOD && tag !== UNKNOWN) fail(fields, 'certStatus', 'neither good, revoked nor unknown');
  if (readContent(fields, tag, 'certStatus').length > 0) fail(fields, 'certStatus', 'NULL with content');
  return { kind: tag === GOOD ? 'good' : 'unknown' };
}

function readUncritical(cursor: Cursor, tag: number, label: string) {
  const at = cursor.at;
  const explicit = enter(cursor, tag, label);
  const extensions = readExtensions(explicit, '');
  finish(explicit);
  const critical = extensions.find((extension) => extension.critical);
  if (critical === undefined) return extensions;
  fail(cursor, label, `the critical extension ${critical.oid} is not known`, at, { code: 'bad_certificate' });
}

function readCertificates(frame: Cursor): Uint8Array[] {
  const explicit = enter(frame, EXPLICIT[0], 'certs');
  const list = enterSequence(explicit, '');
  finish(explicit);
  const certificates: Uint8Array[] = [];
  while (list.at < list.end) {
    if (certificates.length === MAX_CERTIFICATES) fail(list, '', `more than ${MAX_CERTIFICATES} certificates`);
    certificates.push(readAny(list, 'certificate'));
  }
  return certificates;
}

/** The whole answer that there is no answer. */
export function encodeOcspFault(fault: OcspFault): Uint8Array {
  return sequence(enumerated(STATUSES[fault]));
}

/** What all answers of one responder have in common, encoded once. */
export interface OcspResponseTemplate {
  readonly responder: Uint8Array;
  /** Frame of the signature: its AlgorithmIdentifier. */
  readonly algorithm: Uint8Array;
  /** The responder's certificate, tagged as it goes after the signature. */
  readonly certificates: Uint8Array;
}

export interface OcspResponseFields {
  /** Milliseconds since the Unix epoch, whole seconds. */
  readonly producedAt: number;
  readonly thisUpdate: number;
  readonly nextUpdate: number;
  /** Whole CertIDs as they were asked about, and what is known; at least one. */
  readonly answers: readonly { readonly id: Uint8Array; readonly status: OcspStatus }[];
  readonly nonce?: Uint8Array | undefined;
}

/** `keyHash`: SHA-1 of the octets in the BIT STRING of the responder's key; `certificate`: its DER. */
export function ocspResponseTemplate(
  algorithm: SignatureAlgorithm,
  keyHash: Uint8Array,
  certificate: Uint8Array,
): OcspResponseTemplate {
  return {
    responder: encode(EXPLICIT[2], octetString(keyHash)),
    algorithm: encodeSignatureAlgorithm(algorithm),
    certificates: encode(EXPLICIT[0], sequence(certificate)),
  };
}

const GOOD_STATUS = Uint8Array.of(GOOD, 0);
const UNKNOWN_STATUS = Uint8Array.of(UNKNOWN, 0);
const BASIC_OID = oid(BASIC);
const NONCE_OID = oid(OCSP_NONCE);
const SUCCESSFUL = enumerated(STATUSES.successful);
/** More than all headers and times of one answer together. */
const SMALL_PARTS = 64;
const NO_UNUSED_BITS = Uint8Array.of(0);

/** Encodes ResponseData: what the responder signs. `assembleOcspResponse` makes the answer of it. */
export function encodeResponseData(template: OcspResponseTemplate, fields: OcspResponseFields): Uint8Array {
  const { answers, nonce } = fields;
  if (answers.length === 0) throw new WritError('internal', 'an OCSP answer about no certificate');
  const statuses = answers.map(({ status }) => encodeStatus(status));
  let capacity = template.responder.length + SMALL_PARTS + (nonce === undefined ? 0 : nonce.length + SMALL_PARTS);
  for (const [i, { id }] of answers.entries()) capacity += id.length + statuses[i]!.length + SMALL_PARTS;
  const out = backward(capacity);
  const end = out.at;
  if (nonce !== undefined) {
    prepend(out, nonce);
    // The OCTET STRING that is the nonce, in the one that holds an extension's value.
    prependHeader(out, OCTET_STRING, end);
    prependHeader(out, OCTET_STRING, end);
    prepend(out, NONCE_OID);
    prependHeader(out, SEQUENCE, end);
    prependHeader(out, SEQUENCE, end);
    prependHeader(out, EXPLICIT[1], end);
  }
  const thisUpdate = encodeGeneralizedTime(fields.thisUpdate);
  const nextUpdate = encodeGeneralizedTime(fields.nextUpdate);
  const listEnd = out.at;
  for (let i = answers.length - 1; i >= 0; i--) {
    const singleEnd = out.at;
    prepend(out, nextUpdate);
    prependHeader(out, EXPLICIT[0], singleEnd);
    prepend(out, thisUpdate);
    prepend(out, statuses[i]!);
    prepend(out, answers[i]!.id);
    prependHeader(out, SEQUENCE, singleEnd);
  }
  prependHeader(out, SEQUENCE, listEnd);
  prepend(out, fields.producedAt === fields.thisUpdate ? thisUpdate : encodeGeneralizedTime(fields.producedAt));
  prepend(out, template.responder);
  prependHeader(out, SEQUENCE, end);
  return written(out);
}

function encodeStatus(status: OcspStatus): Uint8Array {
  if (status.kind === 'good') return GOOD_STATUS;
  if (status.kind === 'unknown') return UNKNOWN_STATUS;
  const { at, reason } = status;
  const time = encodeGeneralizedTime(at);
  // A reason of `unspecified` is left out, as in CRLs (RFC 5280 §5.3.1).
  if (reason === undefined || reason === 'unspecified') return encode(REVOKED, time);
  return encode(REVOKED, time, encode(EXPLICIT[0], encodeReasonCode(reason)));
}

/** The whole answer: what was signed, the signature, and the certificate of who signed. */
export function assembleOcspResponse(
  template: OcspResponseTemplate,
  responseData: Uint8Array,
  signature: Uint8Array,
): Uint8Array {
  const { algorithm, certificates } = template;
  const length = responseData.length + algorithm.length + signature.length + certificates.length;
  const out = backward(length + SMALL_PARTS);
  const end = out.at;
  prepend(out, certificates);
  const signatureEnd = out.at;
  prepend(out, signature);
  prepend(out, NO_UNUSED_BITS);
  prependHeader(out, BIT_STRING, signatureEnd);
  prepend(out, algorithm);
  prepend(out, responseData);
  prependHeader(out, SEQUENCE, end);
  prependHeader(out, OCTET_STRING, end);
  prepend(out, BASIC_OID);
  prependHeader(out, SEQUENCE, end);
  prependHeader(out, EXPLICIT[0], end);
  prepend(out, SUCCESSFUL);
  prependHeader(out, SEQUENCE, end);
  return written(out);
}
