import { backward, prepend, prependHeader, written } from '../der/backward.ts';
import {
  type Cursor,
  enter,
  enterSequence,
  fail,
  finish,
  openSequence,
  peekTag,
  readInteger,
  readSmallInteger,
} from '../der/reader.ts';
import { contextConstructed, GENERALIZED_TIME, INTEGER, SEQUENCE, UTC_TIME } from '../der/tag.ts';
import { encodeTime, readTime } from '../der/time.ts';
import { encode, integer, sequence, unsignedInteger } from '../der/writer.ts';
import { encodeSignatureAlgorithm, readSignatureAlgorithm, type SignatureAlgorithm } from './algorithm.ts';
import { type Extension, encodeExtension, encodeExtensions, readExtensions } from './extension.ts';
import { encodeReasonCode, REASON_CODE, REVOCATION_REASONS, type RevocationReason } from './extensions/reason-code.ts';
import { type Name, readName } from './name.ts';
import { readSignature } from './signed.ts';

/** A certificate revocation list (RFC 5280 §5.1). All bytes are views into what was parsed. */
export interface Crl {
  /** The whole list. */
  readonly raw: Uint8Array;
  /** TBSCertList: what is signed. */
  readonly tbs: Uint8Array;
  readonly version: 1 | 2;
  readonly signatureAlgorithm: SignatureAlgorithm;
  readonly signature: Uint8Array;
  readonly issuer: Name;
  /** Milliseconds since the Unix epoch. */
  readonly thisUpdate: number;
  /** Absent in lists that break RFC 5280 §5.1.2.5. */
  readonly nextUpdate: number | undefined;
  readonly entries: readonly CrlEntry[];
  readonly extensions: readonly Extension[];
}

interface CrlEntry {
  /** Content octets of the INTEGER. */
  readonly serial: Uint8Array;
  /** Milliseconds since the Unix epoch. */
  readonly revokedAt: number;
  readonly extensions: readonly Extension[];
}

/** Limit of a list, in octets: about a million entries. */
const MAX_CRL_BYTES = 67_108_864;

const NONE: readonly Extension[] = [];

/** Parses one DER list, errors as `parseCertificate`. No signature is verified. */
export function parseCrl(der: Uint8Array): Crl {
  const frame = openSequence(der, 'certificateList', MAX_CRL_BYTES);
  const start = frame.at;
  const cursor = enterSequence(frame, 'tbsCertList');
  const tbs = frame.bytes.subarray(start, frame.at);
  const version = readVersion(cursor);
  const signatureAlgorithm = readSignatureAlgorithm(cursor, 'signature');
  const issuer = readName(cursor, 'issuer');
  const thisUpdate = readTime(cursor, 'thisUpdate');
  const next = peekTag(cursor);
  const nextUpdate = next === UTC_TIME || next === GENERALIZED_TIME ? readTime(cursor, 'nextUpdate') : undefined;
  const entries = peekTag(cursor) === SEQUENCE ? readEntries(cursor, version) : [];
  const extensions = readCrlExtensions(cursor, version);
  finish(cursor);
  const { signature } = readSignature(frame, signatureAlgorithm);
  return { raw: der, tbs, version, signatureAlgorithm, signature, issuer, thisUpdate, nextUpdate, entries, extensions };
}

function readVersion(cursor: Cursor): 1 | 2 {
  if (peekTag(cursor) !== INTEGER) return 1;
  if (readSmallInteger(cursor, 'version') !== 1) fail(cursor, 'version', 'neither absent (v1) nor 1 (v2)');
  return 2;
}

/** An empty list of entries is left out, not encoded (RFC 5280 §5.1.2.6). */
function readEntries(cursor: Cursor, version: 1 | 2): CrlEntry[] {
  const list = enterSequence(cursor, 'revokedCertificates');
  const entries: CrlEntry[] = [];
  do {
    const fields = enterSequence(list, 'entry');
    const serial = readInteger(fields, 'userCertificate');
    const revokedAt = readTime(fields, 'revocationDate');
    const more = fields.at < fields.end;
    if (more && version === 1) fail(fields, 'crlEntryExtensions', 'present, but the version is 1');
    const extensions = more ? readExtensions(fields, 'crlEntryExtensions') : NONE;
    finish(fields);
    entries.push({ serial, revokedAt, extensions });
  } while (list.at < list.end);
  return entries;
}

function readCrlExtensions(cursor: Cursor, version: 1 | 2): readonly Extension[] {
  if (peekTag(cursor) !== contextConstructed(0)) return NONE;
  if (version === 1) fail(cursor, 'crlExtensions', 'present, but the version is 1');
  const explicit = enter(cursor, contextConstructed(0), 'crlExtensions');
  const extensions = readExtensions(explicit, '');
  finish(explicit);
  return extensions;
}

export interface CrlFields {
  readonly algorithm: SignatureAlgorithm;
  /** DER Name. */
  readonly issuer: Uint8Array;
  /** Milliseconds since the Unix epoch, whole seconds. */
  readonly thisUpdate: number;
  readonly nextUpdate: number;
  /** Entries, or the encodings of some (`encodeCrlEntries`) one after the other. */
  readonly revoked: Iterable<RevokedCertificate> | Uint8Array;
  /** AuthorityKeyIdentifier and CRLNumber are a must (RFC 5280 §5.2). */
  readonly extensions: readonly Extension[];
}

export interface RevokedCertificate {
  /** Big-endian octets, taken as unsigned. */
  readonly serial: Uint8Array;
  /** Milliseconds since the Unix epoch, whole seconds. */
  readonly revokedAt: number;
  /** Left out of the entry when absent or `unspecified` (RFC 5280 §5.3.1). */
  readonly reason?: RevocationReason;
}

/** Encodes a TBSCertList, version 2. `assembleSigned` makes the list of it. */
export function encodeTbsCertList(fields: CrlFields): Uint8Array {
  const entries = encodeEntries(fields.revoked);
  return sequence(
    integer(1),
    encodeSignatureAlgorithm(fields.algorithm),
    fields.issuer,
    encodeTime(fields.thisUpdate),
    encodeTime(fields.nextUpdate),
    ...(entries === undefined ? [] : [entries]),
    encode(contextConstructed(0), encodeExtensions(fields.extensions)),
  );
}

/** Undefined when there are none: the list is left out then. */
function encodeEntries(revoked: CrlFields['revoked']): Uint8Array | undefined {
  const entries = revoked instanceof Uint8Array ? revoked : encodeCrlEntries(Array.from(revoked));
  return entries.length === 0 ? undefined : encode(SEQUENCE, entries);
}

/** Entries of a list, one after the other. A list can have very many. */
export function encodeCrlEntries(entries: readonly RevokedCertificate[]): Uint8Array {
  let capacity = 0;
  for (const { serial } of entries) capacity += serial.length + BESIDE_SERIAL;
  const out = backward(capacity);
  // Those that come together were revoked together.
  let time = Number.NaN;
  let second: Uint8Array = NOTHING;
  for (let i = entries.length - 1; i >= 0; i--) {
    const { serial, revokedAt, reason } = entries[i]!;
    if (revokedAt !== time) {
      time = revokedAt;
      second = encodeTime(time);
    }
    const end = out.at;
    if (reason !== undefined && reason !== 'unspecified') prepend(out, REASON_EXTENSIONS[reason]);
    prepend(out, second);
    prepend(out, unsignedInteger(serial));
    prependHeader(out, SEQUENCE, end);
  }
  return written(out);
}

/** More than all of an entry but its serial number: headers, time, and the reason with its extension. */
const BESIDE_SERIAL = 48;
const NOTHING = new Uint8Array(0);

/** crlEntryExtensions with the reason alone. */
const REASON_EXTENSIONS = Object.fromEntries(
  REVOCATION_REASONS.map((reason) => {
    const value = encodeReasonCode(reason);
    return [reason, sequence(encodeExtension({ oid: REASON_CODE, critical: false, value }))];
  }),
) as Readonly<Record<RevocationReason, Uint8Array>>;
