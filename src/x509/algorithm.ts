import { createVerify, verify } from 'node:crypto';
import { WritError } from '../base/error.ts';
import { holdsAt } from '../der/bytes.ts';
import { readOid } from '../der/oid.ts';
import { type Cursor, enterSequence, fail, openSequence } from '../der/reader.ts';
import { encode, integer, nullValue, oid, sequence } from '../der/writer.ts';
import type { PublicKey, PublicKeyAlgorithm } from './public-key.ts';

/**
 * How a certificate, CSR or CRL is signed. An ECDSA hash goes with one curve only (P-256 with SHA-256, P-384 with
 * SHA-384, P-521 with SHA-512), as the root programmes demand. RSA and P-521 are there to verify; Writ's own
 * authorities never sign with them.
 */
export type SignatureAlgorithm =
  | 'ecdsa-p256-sha256'
  | 'ecdsa-p384-sha384'
  | 'ecdsa-p521-sha512'
  | 'ed25519'
  | 'ml-dsa-44'
  | 'ml-dsa-65'
  | 'ml-dsa-87'
  | 'rsa-pkcs1-sha256'
  | 'rsa-pkcs1-sha384'
  | 'rsa-pkcs1-sha512'
  | 'rsa-pss-sha256'
  | 'rsa-pss-sha384'
  | 'rsa-pss-sha512';

interface Row {
  /** Whole AlgorithmIdentifier; nothing else stands for this algorithm. */
  readonly encoded: Uint8Array;
  /** For `node:crypto`; null where the algorithm has its hash built in. */
  readonly hash: string | null;
  readonly key: PublicKeyAlgorithm;
  /** Length of the PSS salt, in octets. */
  readonly salt?: number;
}

const HASH_OIDS: Readonly<Record<number, string>> = {
  32: '2.16.840.1.101.3.4.2.1',
  48: '2.16.840.1.101.3.4.2.2',
  64: '2.16.840.1.101.3.4.2.3',
};

/** RSASSA-PSS with MGF1 over the same hash and a salt as long as the hash (RFC 4055 §3.1). */
function pss(hashLength: 32 | 48 | 64): Uint8Array {
  const hash = sequence(oid(HASH_OIDS[hashLength]!), nullValue());
  return sequence(
    oid('1.2.840.113549.1.1.10'),
    sequence(
      encode(0xa0, hash),
      encode(0xa1, sequence(oid('1.2.840.113549.1.1.8'), hash)),
      encode(0xa2, integer(hashLength)),
    ),
  );
}

const TABLE: Readonly<Record<SignatureAlgorithm, Row>> = {
  // RFC 5758 §3.2: no parameters
  'ecdsa-p256-sha256': { encoded: sequence(oid('1.2.840.10045.4.3.2')), hash: 'sha256', key: 'ec-p256' },
  'ecdsa-p384-sha384': { encoded: sequence(oid('1.2.840.10045.4.3.3')), hash: 'sha384', key: 'ec-p384' },
  'ecdsa-p521-sha512': { encoded: sequence(oid('1.2.840.10045.4.3.4')), hash: 'sha512', key: 'ec-p521' },
  // RFC 8410 §3: no parameters
  ed25519: { encoded: sequence(oid('1.3.101.112')), hash: null, key: 'ed25519' },
  // RFC 9881 §2: no parameters
  'ml-dsa-44': { encoded: sequence(oid('2.16.840.1.101.3.4.3.17')), hash: null, key: 'ml-dsa-44' },
  'ml-dsa-65': { encoded: sequence(oid('2.16.840.1.101.3.4.3.18')), hash: null, key: 'ml-dsa-65' },
  'ml-dsa-87': { encoded: sequence(oid('2.16.840.1.101.3.4.3.19')), hash: null, key: 'ml-dsa-87' },
  // RFC 4055 §5: NULL parameters
  'rsa-pkcs1-sha256': { encoded: sequence(oid('1.2.840.113549.1.1.11'), nullValue()), hash: 'sha256', key: 'rsa' },
  'rsa-pkcs1-sha384': { encoded: sequence(oid('1.2.840.113549.1.1.12'), nullValue()), hash: 'sha384', key: 'rsa' },
  'rsa-pkcs1-sha512': { encoded: sequence(oid('1.2.840.113549.1.1.13'), nullValue()), hash: 'sha512', key: 'rsa' },
  'rsa-pss-sha256': { encoded: pss(32), hash: 'sha256', key: 'rsa', salt: 32 },
  'rsa-pss-sha384': { encoded: pss(48), hash: 'sha384', key: 'rsa', salt: 48 },
  'rsa-pss-sha512': { encoded: pss(64), hash: 'sha512', key: 'rsa', salt: 64 },
};

const ALL = Object.keys(TABLE) as SignatureAlgorithm[];

/** Why an algorithm that is well known is not accepted, for the error's sake. */
const REFUSED: Readonly<Record<string, string>> = {
  '1.2.840.113549.1.1.4': 'is RSA with MD5, which is broken',
  '1.2.840.113549.1.1.5': 'is RSA with SHA-1, which is too weak',
  '1.2.840.10045.4.1': 'is ECDSA with SHA-1, which is too weak',
  '1.2.840.10040.4.3': 'is DSA with SHA-1, which is too weak',
  '2.16.840.1.101.3.4.3.2': 'is DSA, which is obsolete',
  '1.2.840.10045.4.3.1': 'is ECDSA with SHA-224, which is not accepted',
  '1.2.840.113549.1.1.14': 'is RSA with SHA-224, which is not accepted',
  '1.2.840.113549.1.1.10': 'is RSASSA-PSS, accepted only with one hash throughout and a salt as long as the hash',
};

/** The AlgorithmIdentifier, tag and length included. */
export function encodeSignatureAlgorithm(algorithm: SignatureAlgorithm): Uint8Array {
  return TABLE[algorithm].encoded;
}

/** The kind of key that signs with `algorithm`. */
export function keyAlgorithmOf(algorithm: SignatureAlgorithm): PublicKeyAlgorithm {
  return TABLE[algorithm].key;
}

const BY_KEY: Readonly<Record<Exclude<PublicKeyAlgorithm, 'rsa'>, SignatureAlgorithm>> = {
  'ec-p256': 'ecdsa-p256-sha256',
  'ec-p384': 'ecdsa-p384-sha384',
  'ec-p521': 'ecdsa-p521-sha512',
  ed25519: 'ed25519',
  'ml-dsa-44': 'ml-dsa-44',
  'ml-dsa-65': 'ml-dsa-65',
  'ml-dsa-87': 'ml-dsa-87',
};

/** The one algorithm that is taken from a kind of key where the signer has no say: ECDSA with the hash of its curve, `rsa` for RSA. */
export function algorithmByKey(
  key: PublicKeyAlgorithm,
  rsa: 'rsa-pkcs1-sha256' | 'rsa-pss-sha256',
): SignatureAlgorithm {
  return key === 'rsa' ? rsa : BY_KEY[key];
}

/**
 * Reads an AlgorithmIdentifier of a signature. Parameters must be exactly those of the algorithm's RFC. Anything
 * else, weak algorithms included, is `bad_certificate` with the reason.
 */
export function readSignatureAlgorithm(cursor: Cursor, label: string): SignatureAlgorithm {
  const start = cursor.at;
  const inner = enterSequence(cursor, label);
  for (const algorithm of ALL) {
    const { encoded } = TABLE[algorithm];
    if (cursor.at - start === encoded.length && holdsAt(cursor.bytes, start, encoded)) return algorithm;
  }
  const dotted = readOid(inner, 'algorithm');
  const known = ALL.some((algorithm) => readOid(openSequence(TABLE[algorithm].encoded, ''), '') === dotted);
  const fault = REFUSED[dotted] ?? (known ? 'has parameters that its RFC does not give it' : 'is unknown');
  const remedy = `Use one of ${ALL.join(', ')}.`;
  fail(cursor, label, `signature algorithm ${dotted} ${fault}`, start, { code: 'bad_certificate', remedy });
}

/**
 * True when `signature` is the signature of `data` under `key`. False also when key and algorithm do not go together.
 * Throws `bad_certificate` when the key itself is impossible (a point that is not on its curve).
 */
export function verifySignature(
  algorithm: SignatureAlgorithm,
  key: PublicKey,
  data: Uint8Array,
  signature: Uint8Array,
): boolean {
  const row = TABLE[algorithm];
  if (row.key !== key.algorithm) return false;
  const input = { key: key.spki as Buffer, format: 'der', type: 'spki' } as const;
  try {
    // The one-step form keeps the key's memory until the garbage collector comes by; for every request's key that adds up.
    if (row.key.startsWith('ec-')) return createVerify(row.hash!).update(data).verify(input, signature);
    if (row.salt === undefined) return verify(row.hash, data, input, signature);
    return verify(row.hash, data, { ...input, padding: 6, saltLength: row.salt }, signature);
  } catch (cause) {
    throw new WritError('bad_certificate', 'the public key is not one that its algorithm can have', { cause });
  }
}
