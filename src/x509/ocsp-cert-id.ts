import { hash } from 'node:crypto';
import { holdsAt, sameBytes } from '../der/bytes.ts';
import { readOid } from '../der/oid.ts';
import { type Cursor, enterSequence, finish, readInteger, readOctetString } from '../der/reader.ts';
import { INTEGER, SEQUENCE } from '../der/tag.ts';
import { encode, nullValue, octetString, oid, sequence } from '../der/writer.ts';
import type { Certificate } from './certificate.ts';
import { parsePublicKey } from './public-key.ts';

/** The hashes by which Writ knows authorities. SHA-1 here is a name, not a proof (RFC 5019 §2.1.1, RFC 9654 leaves it). */
const CERT_ID_HASHES = ['sha1', 'sha256'] as const;

export type CertIdHash = (typeof CERT_ID_HASHES)[number];

const OIDS: Readonly<Record<CertIdHash, string>> = { sha1: '1.3.14.3.2.26', sha256: '2.16.840.1.101.3.4.2.1' };

/** Whole AlgorithmIdentifiers. The parameters are NULL or absent: both are in use (RFC 4055 §2.1). */
const ALGORITHMS: readonly { readonly hash: CertIdHash; readonly encoded: Uint8Array }[] = CERT_ID_HASHES.flatMap(
  (name) => [
    { hash: name, encoded: sequence(oid(OIDS[name]), nullValue()) },
    { hash: name, encoded: sequence(oid(OIDS[name])) },
  ],
);

/** CertID (RFC 6960 §4.1.1): which certificate of which authority. All bytes are views into what was parsed. */
export interface CertId {
  /** The whole CertID: an answer repeats it octet by octet. */
  readonly raw: Uint8Array;
  /** Undefined for a hash that Writ does not know authorities by. */
  readonly hash: CertIdHash | undefined;
  /** Of the issuer's DER Name. */
  readonly nameHash: Uint8Array;
  /** Of the octets in the BIT STRING of the issuer's key. */
  readonly keyHash: Uint8Array;
  /** Content octets of the INTEGER. */
  readonly serial: Uint8Array;
}

/** Reads one CertID. A hash that Writ does not know is no error: the answer is that the issuer is none of ours. */
export function readCertId(cursor: Cursor, label: string): CertId {
  const start = cursor.at;
  const fields = enterSequence(cursor, label);
  const raw = cursor.bytes.subarray(start, cursor.at);
  const known = readHash(fields);
  const nameHash = readOctetString(fields, 'issuerNameHash');
  const keyHash = readOctetString(fields, 'issuerKeyHash');
  const serial = readInteger(fields, 'serialNumber');
  finish(fields);
  return { raw, hash: known, nameHash, keyHash, serial };
}

function readHash(fields: Cursor): CertIdHash | undefined {
  const { bytes, at } = fields;
  const algorithm = enterSequence(fields, 'hashAlgorithm');
  const length = fields.at - at;
  for (const { hash: name, encoded } of ALGORITHMS) {
    if (length === encoded.length && holdsAt(bytes, at, encoded)) return name;
  }
  readOid(algorithm, 'algorithm');
  return undefined;
}

/** What the CertIDs of one issuer have in common, computed once. */
export type IssuerHashes = Readonly<Record<CertIdHash, { readonly name: Uint8Array; readonly key: Uint8Array }>>;

/** `spki`: DER SubjectPublicKeyInfo of the issuer; `name`: its DER Name. */
export function issuerHashes(name: Uint8Array, spki: Uint8Array): IssuerHashes {
  const { bits } = parsePublicKey(spki);
  const of = (algorithm: CertIdHash) => ({ name: digest(algorithm, name), key: digest(algorithm, bits) });
  return { sha1: of('sha1'), sha256: of('sha256') };
}

/** True when the issuer with these hashes is meant. */
export function isIssuedBy(id: CertId, hashes: IssuerHashes): boolean {
  if (id.hash === undefined) return false;
  const { name, key } = hashes[id.hash];
  return sameBytes(id.keyHash, key) && sameBytes(id.nameHash, name);
}

/** The CertID by which a certificate is asked about. Default SHA-1: the one that every responder knows (RFC 5019 §2.1.1). */
export function encodeCertId(
  certificate: Pick<Certificate, 'serial'>,
  issuer: Pick<Certificate, 'subject' | 'spki'>,
  algorithm: CertIdHash = 'sha1',
): Uint8Array {
  const { name, key } = issuerHashes(issuer.subject.raw, issuer.spki)[algorithm];
  return encode(
    SEQUENCE,
    sequence(oid(OIDS[algorithm]), nullValue()),
    octetString(name),
    octetString(key),
    encode(INTEGER, certificate.serial),
  );
}

function digest(algorithm: CertIdHash, data: Uint8Array): Uint8Array {
  return new Uint8Array(hash(algorithm, data, 'buffer'));
}
