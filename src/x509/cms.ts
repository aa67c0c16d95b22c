import { hash } from 'node:crypto';
import { derOfBer } from '../der/ber.ts';
import { sameBytes } from '../der/bytes.ts';
import { readOid } from '../der/oid.ts';
import {
  type Cursor,
  enter,
  enterSequence,
  enterSet,
  fail,
  finish,
  openSequence,
  peekTag,
  readAny,
  readInteger,
  readNull,
  readOctetString,
  readSmallInteger,
  readWhole,
} from '../der/reader.ts';
import { contextConstructed, contextPrimitive, NULL, SEQUENCE, SET } from '../der/tag.ts';
import { readSignatureAlgorithm, type SignatureAlgorithm, verifySignature } from './algorithm.ts';
import type { Certificate } from './certificate.ts';
import { findExtension } from './extension.ts';
import { decodeSubjectKeyIdentifier, SUBJECT_KEY_IDENTIFIER } from './extensions/subject-key-identifier.ts';
import { type Name, readName } from './name.ts';
import { parsePublicKey } from './public-key.ts';

type Hash = 'sha256' | 'sha384' | 'sha512';

/** A signed message (RFC 5652 §5.1; PKCS #7 1.5 where the two agree). Nothing in it is believed yet. */
export interface SignedData {
  readonly contentType: string;
  /** Undefined where the content travels apart. */
  readonly content: Uint8Array | undefined;
  /** DER of the certificates that it brings, in no order and for no purpose: who signed is said by `signers` alone. */
  readonly certificates: readonly Uint8Array[];
  readonly signers: readonly CmsSigner[];
}

/** One signature (RFC 5652 §5.3). */
interface CmsSigner {
  readonly id:
    | { readonly by: 'issuer'; readonly issuer: Name; readonly serial: Uint8Array }
    | { readonly by: 'key'; readonly keyIdentifier: Uint8Array };
  readonly digest: Hash;
  readonly algorithm: SignatureAlgorithm;
  /** Absent: the content itself is signed. */
  readonly attributes?: {
    /** As it is signed: with the tag of a SET. */
    readonly signed: Uint8Array;
    readonly contentType: string;
    readonly messageDigest: Uint8Array;
  };
  readonly signature: Uint8Array;
}

const SIGNED_DATA = '1.2.840.113549.1.7.2';
const DATA = '1.2.840.113549.1.7.1';
const CONTENT_TYPE = '1.2.840.113549.1.9.3';
const MESSAGE_DIGEST = '1.2.840.113549.1.9.4';
const RSA_ENCRYPTION = '1.2.840.113549.1.1.1';

const DIGESTS: Readonly<Record<string, Hash>> = {
  '2.16.840.1.101.3.4.2.1': 'sha256',
  '2.16.840.1.101.3.4.2.2': 'sha384',
  '2.16.840.1.101.3.4.2.3': 'sha512',
  // Azure's metadata service names the signature where the digest belongs.
  '1.2.840.113549.1.1.11': 'sha256',
};

const DIGEST_OF: Readonly<Partial<Record<SignatureAlgorithm, Hash>>> = {
  'ecdsa-p256-sha256': 'sha256',
  'ecdsa-p384-sha384': 'sha384',
  'ecdsa-p521-sha512': 'sha512',
  'rsa-pkcs1-sha256': 'sha256',
  'rsa-pkcs1-sha384': 'sha384',
  'rsa-pkcs1-sha512': 'sha512',
  'rsa-pss-sha256': 'sha256',
  'rsa-pss-sha384': 'sha384',
  'rsa-pss-sha512': 'sha512',
};

const MOST_CERTIFICATES = 16;
const MOST_SIGNERS = 4;
const MOST_ATTRIBUTES = 16;

/**
 * Parses a ContentInfo with SignedData, in BER as senders write it. Throws `bad_der` for what is none, `bad_certificate` for
 * algorithms that are not accepted (SHA-1, MD5, DSA), `too_large`.
 */
export function parseSignedData(bytes: Uint8Array): SignedData {
  const info = openSequence(derOfBer(bytes, 'cms'), 'cms');
  if (readOid(info, 'contentType') !== SIGNED_DATA) fail(info, 'contentType', 'not signed data');
  const explicit = enter(info, contextConstructed(0), 'content');
  const fields = enterSequence(explicit, 'signedData');
  finish(explicit);
  finish(info);
  readSmallInteger(fields, 'version', 5);
  // What the signers say again, one by one.
  readWhole(fields, SET, 'digestAlgorithms');
  const encapsulated = enterSequence(fields, 'encapContentInfo');
  const contentType = readOid(encapsulated, 'eContentType');
  const content = readContent(encapsulated);
  finish(encapsulated);
  const certificates = readCertificates(fields);
  if (peekTag(fields) === contextConstructed(1)) readAny(fields, 'crls');
  const signers = readSigners(fields);
  finish(fields);
  return { contentType, content, certificates, signers };
}

function readContent(encapsulated: Cursor): Uint8Array | undefined {
  if (peekTag(encapsulated) !== contextConstructed(0)) return undefined;
  const explicit = enter(encapsulated, contextConstructed(0), 'eContent');
  const content = readOctetString(explicit, 'octets');
  finish(explicit);
  return content;
}

function readCertificates(fields: Cursor): Uint8Array[] {
  const certificates: Uint8Array[] = [];
  if (peekTag(fields) !== contextConstructed(0)) return certificates;
  const set = enter(fields, contextConstructed(0), 'certificates');
  while (set.at < set.end) {
    if (certificates.length === MOST_CERTIFICATES) fail(set, '', `more than ${MOST_CERTIFICATES}`);
    certificates.push(readWhole(set, SEQUENCE, 'certificate'));
  }
  return certificates;
}

function readSigners(fields: Cursor): CmsSigner[] {
  const set = enterSet(fields, 'signerInfos');
  const signers: CmsSigner[] = [];
  while (set.at < set.end) {
    if (signers.length === MOST_SIGNERS) fail(set, '', `more than ${MOST_SIGNERS}`);
    signers.push(readSigner(enterSequence(set, 'signerInfo')));
  }
  return signers;
}

function readSigner(fields: Cursor): CmsSigner {
  const version = readSmallInteger(fields, 'version', 3);
  const id = readSignerId(fields);
  if (version !== (id.by === 'issuer' ? 1 : 3)) fail(fields, 'version', 'does not go with how the signer is named');
  const digest = readDigest(fields);
  const attributes = peekTag(fields) === contextConstructed(0) ? readAttributes(fields) : undefined;
  const algorithm = readSignerAlgorithm(fields, digest);
  const signature = readOctetString(fields, 'signature');
  if (peekTag(fields) === contextConstructed(1)) readAny(fields, 'unsignedAttrs');
  finish(fields);
  return { id, digest, algorithm, ...(attributes === undefined ? {} : { attributes }), signature };
}

function readSignerId(fields: Cursor): CmsSigner['id'] {
  if (peekTag(fields) === contextPrimitive(0)) {
    return { by: 'key', keyIdentifier: readOctetString(fields, 'subjectKeyIdentifier', contextPrimitive(0)) };
  }
  const pair = enterSequence(fields, 'issuerAndSerialNumber');
  const issuer = readName(pair, 'issuer');
  const serial = readInteger(pair, 'serialNumber');
  finish(pair);
  return { by: 'issuer', issuer, serial };
}

function readDigest(fields: Cursor): Hash {
  const start = fields.at;
  const identifier = enterSequence(fields, 'digestAlgorithm');
  const dotted = readOid(identifier, 'algorithm');
  // RFC 5754 §2: NULL or nothing.
  if (peekTag(identifier) === NULL) readNull(identifier, 'parameters');
  finish(identifier);
  const digest = DIGESTS[dotted];
  if (digest !== undefined) return digest;
  const remedy = 'Sign with SHA-256, SHA-384 or SHA-512.';
  fail(fields, 'digestAlgorithm', `digest ${dotted} is not accepted`, start, { code: 'bad_certificate', remedy });
}

/** RFC 5754 §3.2: the plain `rsaEncryption`, made whole by the digest, or one that names its own. */
function readSignerAlgorithm(fields: Cursor, digest: Hash): SignatureAlgorithm {
  const start = fields.at;
  const ahead: Cursor = { ...fields };
  if (readOid(enterSequence(ahead, 'signatureAlgorithm'), 'algorithm') === RSA_ENCRYPTION) {
    const identifier = enterSequence(fields, 'signatureAlgorithm');
    readOid(identifier, 'algorithm');
    if (peekTag(identifier) === NULL) readNull(identifier, 'parameters');
    finish(identifier);
    return `rsa-pkcs1-${digest}`;
  }
  const algorithm = readSignatureAlgorithm(fields, 'signatureAlgorithm');
  if (DIGEST_OF[algorithm] === digest) return algorithm;
  fail(fields, 'signatureAlgorithm', 'does not go with the digest', start, { code: 'bad_certificate' });
}

/** RFC 5652 §5.3, §11: content type and digest must be there, each once and with one value. */
function readAttributes(fields: Cursor): NonNullable<CmsSigner['attributes']> {
  const start = fields.at;
  const set = enter(fields, contextConstructed(0), 'signedAttrs');
  const signed = fields.bytes.slice(start, fields.at);
  // §5.4: the tag under which it is signed.
  signed[0] = SET;
  const values = new Map<string, Cursor>();
  while (set.at < set.end) {
    const attribute = enterSequence(set, 'attribute');
    const type = readOid(attribute, 'type');
    if (values.has(type)) fail(set, '', 'an attribute stands twice');
    if (values.size === MOST_ATTRIBUTES) fail(set, '', `more than ${MOST_ATTRIBUTES}`);
    values.set(type, enterSet(attribute, 'values'));
    finish(attribute);
  }
  const [type, digest] = [values.get(CONTENT_TYPE), values.get(MESSAGE_DIGEST)];
  if (type === undefined || digest === undefined) fail(set, '', 'no content type, or no digest of the content');
  const contentType = readOid(type, 'contentType');
  const messageDigest = readOctetString(digest, 'messageDigest');
  finish(type);
  finish(digest);
  return { signed, contentType, messageDigest };
}

export type OpenedSignedData =
  | {
      readonly ok: true;
      readonly content: Uint8Array;
      /** The very certificate whose key made the signature: the one to validate, and no other of those that came. */
      readonly signer: Certificate;
    }
  | {
      readonly ok: false;
      /** `signers`: not exactly one; `unknown`: none of the candidates is named as signer; `content`: none, or two. */
      readonly fault: 'signers' | 'unknown' | 'signature' | 'content';
    };

/**
 * What was signed, and by which of the candidates. There must be exactly one signature. Whether the signer is to be
 * believed is not looked at: that is for whoever knows roots and purpose. `detached`: the content, where the message does
 * not bring it.
 */
export function openSignedData(
  data: SignedData,
  candidates: readonly Certificate[],
  detached?: Uint8Array,
): OpenedSignedData {
  const [signer] = data.signers;
  if (signer === undefined || data.signers.length !== 1) return { ok: false, fault: 'signers' };
  if ((data.content === undefined) === (detached === undefined)) return { ok: false, fault: 'content' };
  const content = (data.content ?? detached)!;
  const named = candidates.filter((candidate) => isNamed(signer.id, candidate));
  if (named.length === 0) return { ok: false, fault: 'unknown' };
  const signed = whatIsSigned(signer, data.contentType, content);
  const found =
    signed &&
    named.find(({ spki }) => verifySignature(signer.algorithm, parsePublicKey(spki), signed, signer.signature));
  return found === undefined ? { ok: false, fault: 'signature' } : { ok: true, content, signer: found };
}

function isNamed(id: CmsSigner['id'], { issuer, serial, extensions }: Certificate): boolean {
  if (id.by === 'issuer') return sameBytes(id.issuer.raw, issuer.raw) && sameBytes(id.serial, serial);
  const own = findExtension(extensions, SUBJECT_KEY_IDENTIFIER);
  return own !== undefined && sameBytes(decodeSubjectKeyIdentifier(own.value), id.keyIdentifier);
}

/** The octets under the signature; undefined where the signed attributes are about another content. */
function whatIsSigned(
  { attributes, digest }: CmsSigner,
  contentType: string,
  content: Uint8Array,
): Uint8Array | undefined {
  // §5.3: other content than plain data is signed by way of attributes.
  if (attributes === undefined) return contentType === DATA ? content : undefined;
  if (attributes.contentType !== contentType) return undefined;
  return sameBytes(hash(digest, content, 'buffer'), attributes.messageDigest) ? attributes.signed : undefined;
}
