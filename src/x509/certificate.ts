import {
  type Cursor,
  enter,
  enterSequence,
  fail,
  finish,
  openDer,
  openSequence,
  peekTag,
  readBitString,
  readInteger,
  readSmallInteger,
  readWhole,
} from '../der/reader.ts';
import { contextConstructed, contextPrimitive, SEQUENCE } from '../der/tag.ts';
import { readTime } from '../der/time.ts';
import { readSignatureAlgorithm, type SignatureAlgorithm } from './algorithm.ts';
import { type CommonBeginning, type Extension, readExtensions } from './extension.ts';
import { type Name, readName } from './name.ts';
import { readSignature } from './signed.ts';

/** The signed part of a certificate (RFC 5280 §4.1.2). All bytes are views into what was parsed. */
export interface TbsCertificate {
  /** The whole TBSCertificate: what is signed. */
  readonly tbs: Uint8Array;
  readonly version: 1 | 2 | 3;
  /** Content octets of the INTEGER: two's complement, minimal. Sign and length are for the validator to judge. */
  readonly serial: Uint8Array;
  readonly signatureAlgorithm: SignatureAlgorithm;
  readonly issuer: Name;
  readonly subject: Name;
  /** Milliseconds since the Unix epoch; the certificate is valid from the begin of this second … */
  readonly notBefore: number;
  /** … to the end of this one (RFC 5280 §4.1.2.5). */
  readonly notAfter: number;
  /** DER SubjectPublicKeyInfo; `parsePublicKey` judges it. */
  readonly spki: Uint8Array;
  /** issuerUniqueID or subjectUniqueID is there; both are obsolete and otherwise ignored (RFC 5280 §4.1.2.8). */
  readonly hasUniqueIds: boolean;
  /** In encoding order, none twice. */
  readonly extensions: readonly Extension[];
}

export interface Certificate extends TbsCertificate {
  /** The whole certificate. */
  readonly raw: Uint8Array;
  /** Octets of the signature, as its algorithm has them. */
  readonly signature: Uint8Array;
}

const ISSUER_UNIQUE_ID = contextPrimitive(1);
const SUBJECT_UNIQUE_ID = contextPrimitive(2);
const EXTENSIONS = contextConstructed(3);

/**
 * Parses one DER certificate. Syntax is checked to the last octet (`bad_der`); so is what no reader may be left to
 * guess: the two algorithm fields agree, no extension occurs twice, the algorithm is one that Writ accepts
 * (`bad_certificate`). What the fields say is for `path/` and the lints to judge. No signature is verified.
 */
export function parseCertificate(der: Uint8Array): Certificate {
  const frame = openSequence(der, 'certificate');
  const fields = readTbs(frame);
  const { signature } = readSignature(frame, fields.signatureAlgorithm);
  return { raw: der, ...fields, signature };
}

/**
 * Parses a TBSCertificate alone, as it is before it is signed. Checks as `parseCertificate` does. Where it stands as in
 * `known`, the name of the issuer and the first extensions are not read again.
 */
export function parseTbsCertificate(
  der: Uint8Array,
  known?: { readonly issuer: Name; readonly extensions: CommonBeginning },
): TbsCertificate {
  const outer = openDer(der, 'toBeSigned');
  const fields = readTbs(outer, known);
  finish(outer);
  return fields;
}

function readTbs(
  outer: Cursor,
  known?: { readonly issuer: Name; readonly extensions: CommonBeginning },
): TbsCertificate {
  const start = outer.at;
  const cursor = enterSequence(outer, 'tbsCertificate');
  const tbs = outer.bytes.subarray(start, outer.at);
  const version = readVersion(cursor);
  const serial = readInteger(cursor, 'serialNumber');
  const signatureAlgorithm = readSignatureAlgorithm(cursor, 'signature');
  const issuer = readName(cursor, 'issuer', known?.issuer);
  const validity = enterSequence(cursor, 'validity');
  const notBefore = readTime(validity, 'notBefore');
  const notAfter = readTime(validity, 'notAfter');
  finish(validity);
  const subject = readName(cursor, 'subject');
  const spki = readWhole(cursor, SEQUENCE, 'subjectPublicKeyInfo');
  const hasUniqueIds = skipUniqueIds(cursor, version);
  let extensions: Extension[] = [];
  if (peekTag(cursor) === EXTENSIONS) {
    if (version !== 3) fail(cursor, 'extensions', 'present, but the version is not 3');
    const explicit = enter(cursor, EXTENSIONS, 'extensions');
    extensions = readExtensions(explicit, '', known?.extensions);
    finish(explicit);
  }
  finish(cursor);
  return {
    tbs,
    version,
    serial,
    signatureAlgorithm,
    issuer,
    subject,
    notBefore,
    notAfter,
    spki,
    hasUniqueIds,
    extensions,
  };
}

function readVersion(cursor: Cursor): 1 | 2 | 3 {
  if (peekTag(cursor) !== contextConstructed(0)) return 1;
  const explicit = enter(cursor, contextConstructed(0), 'version');
  const version = readSmallInteger(explicit, 'number', 2);
  finish(explicit);
  if (version === 0) fail(explicit, '', 'v1 is the default and is not encoded');
  return version === 1 ? 2 : 3;
}

/** Steps over issuerUniqueID and subjectUniqueID; tells whether one of them was there. */
function skipUniqueIds(cursor: Cursor, version: number): boolean {
  const start = cursor.at;
  if (peekTag(cursor) === ISSUER_UNIQUE_ID) readBitString(cursor, 'issuerUniqueID', ISSUER_UNIQUE_ID);
  if (peekTag(cursor) === SUBJECT_UNIQUE_ID) readBitString(cursor, 'subjectUniqueID', SUBJECT_UNIQUE_ID);
  const found = cursor.at !== start;
  if (found && version === 1) fail(cursor, '', 'unique identifiers, but the version is 1', start);
  return found;
}
