import { createPublicKey, type KeyObject } from 'node:crypto';
import { WritError } from '../base/error.ts';
import { sha256 } from '../base/sha256.ts';
import { holdsAt, sameBytes } from '../der/bytes.ts';
import { readOid } from '../der/oid.ts';
import {
  type Cursor,
  enterSequence,
  fail,
  finish,
  openDer,
  openSequence,
  readBitStringOctets,
  readInteger,
} from '../der/reader.ts';
import { nullValue, oid, sequence } from '../der/writer.ts';

/** What kind of key, with its size where the kind has several: an RSA key's size is in `PublicKey.modulusBits`. */
export type PublicKeyAlgorithm =
  | 'ec-p256'
  | 'ec-p384'
  | 'ec-p521'
  | 'ed25519'
  | 'ml-dsa-44'
  | 'ml-dsa-65'
  | 'ml-dsa-87'
  | 'rsa';

export interface PublicKey {
  readonly algorithm: PublicKeyAlgorithm;
  /** DER SubjectPublicKeyInfo. */
  readonly spki: Uint8Array;
  /** The octets in the BIT STRING: point, raw key or RSAPublicKey. */
  readonly bits: Uint8Array;
  /** For RSA only. At least 2048. */
  readonly modulusBits?: number;
}

interface Row {
  /** Whole AlgorithmIdentifier; nothing else stands for this kind. */
  readonly encoded: Uint8Array;
  /** Length of the BIT STRING's octets; undefined for RSA. */
  readonly length?: number;
}

const EC = oid('1.2.840.10045.2.1');

const TABLE: Readonly<Record<PublicKeyAlgorithm, Row>> = {
  // RFC 5480 §2.1.1: the named curve; §2.2: an uncompressed point (0x04, x, y)
  'ec-p256': { encoded: sequence(EC, oid('1.2.840.10045.3.1.7')), length: 65 },
  'ec-p384': { encoded: sequence(EC, oid('1.3.132.0.34')), length: 97 },
  'ec-p521': { encoded: sequence(EC, oid('1.3.132.0.35')), length: 133 },
  // RFC 8410 §3, RFC 9881 §2: no parameters
  ed25519: { encoded: sequence(oid('1.3.101.112')), length: 32 },
  'ml-dsa-44': { encoded: sequence(oid('2.16.840.1.101.3.4.3.17')), length: 1312 },
  'ml-dsa-65': { encoded: sequence(oid('2.16.840.1.101.3.4.3.18')), length: 1952 },
  'ml-dsa-87': { encoded: sequence(oid('2.16.840.1.101.3.4.3.19')), length: 2592 },
  // RFC 3279 §2.3.1: NULL parameters
  rsa: { encoded: sequence(oid('1.2.840.113549.1.1.1'), nullValue()) },
};

const ALL = Object.keys(TABLE) as PublicKeyAlgorithm[];

const MIN_RSA_BITS = 2048;
const MAX_RSA_BITS = 8192;
/** FIPS 186-5 §5.4: below 2^256. */
const MAX_EXPONENT_OCTETS = 32;
/** First octet of an uncompressed point (SEC 1 §2.3.3). */
const UNCOMPRESSED = 4;

/**
 * Parses a SubjectPublicKeyInfo strictly: algorithm and parameters exactly as their RFC has them, the key of the right
 * length. Weak keys (RSA below 2048 bits, exponents 1 and even) and unknown kinds are `bad_certificate`, with the reason.
 * Whether a point lies on its curve shows when the key is used or imported.
 */
export function parsePublicKey(spki: Uint8Array): PublicKey {
  const outer = openDer(spki, 'subjectPublicKeyInfo');
  const key = readPublicKey(outer, '');
  finish(outer);
  return key;
}

/** As `parsePublicKey`, in the midst of another structure. */
export function readPublicKey(cursor: Cursor, label: string): PublicKey {
  const start = cursor.at;
  const fields = enterSequence(cursor, label);
  const spki = cursor.bytes.subarray(start, cursor.at);
  const algorithm = readAlgorithm(fields);
  const bitsAt = fields.at;
  const bits = readBitStringOctets(fields, 'subjectPublicKey');
  finish(fields);
  if (algorithm === 'rsa') return { algorithm, spki, bits, modulusBits: checkRsa(fields, bits, bitsAt) };
  const { length } = TABLE[algorithm];
  if (bits.length !== length) refuse(fields, `the key is not ${length} octets long, as ${algorithm} demands`, bitsAt);
  if (bits[0] !== UNCOMPRESSED && algorithm.startsWith('ec-')) {
    refuse(fields, 'the point is not in uncompressed form', bitsAt);
  }
  return { algorithm, spki, bits };
}

function readAlgorithm(spki: Cursor): PublicKeyAlgorithm {
  const start = spki.at;
  const inner = enterSequence(spki, 'algorithm');
  for (const algorithm of ALL) {
    const { encoded } = TABLE[algorithm];
    if (spki.at - start === encoded.length && holdsAt(spki.bytes, start, encoded)) return algorithm;
  }
  const dotted = readOid(inner, 'algorithm');
  refuse(spki, `keys of algorithm ${dotted} with these parameters are not accepted`, start);
}

/** Size of the modulus in bits, after the checks of RFC 3279 §2.3.1 and of our own floor. */
function checkRsa(spki: Cursor, bits: Uint8Array, at: number): number {
  const key = openSequence(bits, 'RSAPublicKey');
  const modulus = readInteger(key, 'modulus');
  const exponent = readInteger(key, 'publicExponent');
  finish(key);
  if (modulus[0]! >= 0x80 || exponent[0]! >= 0x80) refuse(spki, 'the RSA key has a negative number', at);
  const digits = modulus[0] === 0 ? modulus.subarray(1) : modulus;
  const size = digits.length === 0 ? 0 : digits.length * 8 - (Math.clz32(digits[0]!) - 24);
  if (size < MIN_RSA_BITS) refuse(spki, `the RSA key is shorter than ${MIN_RSA_BITS} bits`, at);
  if (size > MAX_RSA_BITS) refuse(spki, `the RSA key is longer than ${MAX_RSA_BITS} bits`, at);
  if (digits[digits.length - 1]! % 2 === 0) refuse(spki, 'the RSA modulus is even', at);
  if (exponent[exponent.length - 1]! % 2 === 0) refuse(spki, 'the RSA exponent is even', at);
  if (exponent.length === 1 && exponent[0] === 1) refuse(spki, 'the RSA exponent is 1', at);
  if (exponent.length > MAX_EXPONENT_OCTETS) refuse(spki, 'the RSA exponent is longer than 256 bits', at);
  return size;
}

function refuse(spki: Cursor, reason: string, at: number): never {
  const remedy = 'Use a P-256, P-384, Ed25519 or ML-DSA key, or RSA of at least 2048 bits.';
  fail(spki, '', reason, at, { code: 'bad_certificate', remedy });
}

/** The key for `node:crypto`. Checks what needs arithmetic: a point must lie on its curve. */
export function importPublicKey(key: PublicKey): KeyObject {
  try {
    return createPublicKey({ key: key.spki as Buffer, format: 'der', type: 'spki' });
  } catch (cause) {
    throw new WritError('bad_certificate', 'subjectPublicKeyInfo: the key is not one that its algorithm can have', {
      field: 'subjectPublicKeyInfo',
      cause,
    });
  }
}

/** Key identifier: the leftmost 160 bits of SHA-256 over the BIT STRING's octets (RFC 7093 §2, method 1). 20 octets. */
export function keyIdentifier({ bits }: PublicKey): Uint8Array {
  if (latest === undefined || !sameBytes(latest.bits, bits)) {
    latest = { bits: bits.slice(), identifier: sha256(bits).slice(0, 20) };
  }
  return latest.identifier;
}

/** A certificate is encoded and then linted, with the same key. */
let latest: { readonly bits: Uint8Array; readonly identifier: Uint8Array } | undefined;
