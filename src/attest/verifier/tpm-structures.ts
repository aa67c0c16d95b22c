import { createPublicKey, hash, type KeyObject } from 'node:crypto';
import { WritError } from '../../base/error.ts';
import { toBase64url } from '../../jwt/base64url.ts';

/*
 * The structures of a trusted platform module that travel to us (TCG TPM 2.0 Library, Part 2: Structures), read strictly:
 * every octet is accounted for, and what is not needed for attestation is refused. Each function throws `bad_request`.
 */

export type TpmHash = 'sha256' | 'sha384' | 'sha512';
type Scheme = 'rsassa' | 'rsapss' | 'ecdsa';

/** TPMA_OBJECT (Part 2 §8.3.2), the bits that are asked about. */
export const ATTRIBUTE: Readonly<
  Record<'fixedTpm' | 'fixedParent' | 'sensitiveDataOrigin' | 'restricted' | 'decrypt' | 'sign', number>
> = {
  fixedTpm: 0x02,
  fixedParent: 0x10,
  sensitiveDataOrigin: 0x20,
  restricted: 0x1_0000,
  decrypt: 0x2_0000,
  sign: 0x4_0000,
};

/** A public area (Part 2 §12.2.4) of an RSA or ECC key. */
export interface TpmPublic {
  /** The hash of its name: what protects it, and what is derived for it. */
  readonly nameAlgorithm: TpmHash;
  /** Octets: the hash's number and the hash of the public area (Part 1 §16). It names this key and no other. */
  readonly name: Uint8Array;
  readonly attributes: number;
  /** Bits of the AES key that protects what is under this one; absent for keys that sign. */
  readonly aesBits?: 128 | 256;
  /** How it signs; absent where each signature may choose. */
  readonly scheme?: { readonly kind: Scheme; readonly hash: TpmHash };
  readonly key: KeyObject;
  /** DER of its SubjectPublicKeyInfo. */
  readonly spki: Uint8Array;
  /** For ECC: the curve as OpenSSL calls it, and the point, both coordinates in the curve's length. */
  readonly point?: { readonly curve: string; readonly x: Uint8Array; readonly y: Uint8Array };
}

const HASHES: Readonly<Record<number, TpmHash>> = { 11: 'sha256', 12: 'sha384', 13: 'sha512' };
const SCHEMES: Readonly<Record<number, Scheme>> = { 20: 'rsassa', 22: 'rsapss', 24: 'ecdsa' };
const CURVES: Readonly<Record<number, { readonly jwk: string; readonly openssl: string; readonly octets: number }>> = {
  3: { jwk: 'P-256', openssl: 'prime256v1', octets: 32 },
  4: { jwk: 'P-384', openssl: 'secp384r1', octets: 48 },
  5: { jwk: 'P-521', openssl: 'secp521r1', octets: 66 },
};
const RSA = 0x01;
const ECC = 0x23;
const NONE = 0x10;
const AES = 0x06;
const CFB = 0x43;
const LARGEST = 4096;

/** TPM2B_PUBLIC (Part 2 §12.2.5): what TPM2_CreatePrimary, TPM2_Create and TPM2_ReadPublic give. */
export function readTpmPublic(octets: Uint8Array): TpmPublic {
  const outer = open(octets);
  const area = readSized(outer, LARGEST);
  finish(outer);
  const from = open(area);
  const kind = readWord(from);
  const nameNumber = readWord(from);
  const nameAlgorithm = HASHES[nameNumber];
  if (nameAlgorithm === undefined) throw refuse('a key whose name is by a hash that is not accepted');
  const attributes = readNumber(from, 4);
  readSized(from, 64);
  const aesBits = readSymmetric(from);
  if (kind !== RSA && kind !== ECC) throw refuse('a key that is neither RSA nor ECC');
  const scheme = readScheme(from, kind);
  const unique = kind === RSA ? readRsa(from) : readEcc(from);
  finish(from);
  return {
    nameAlgorithm,
    name: Buffer.concat([word(nameNumber), hash(nameAlgorithm, area, 'buffer')]),
    attributes,
    ...(aesBits === undefined ? {} : { aesBits }),
    ...(scheme === undefined ? {} : { scheme }),
    ...unique,
    spki: new Uint8Array(unique.key.export({ type: 'spki', format: 'der' })),
  };
}

/** TPMT_SYM_DEF_OBJECT (Part 2 §11.1.7): AES in CFB mode, or nothing. */
function readSymmetric(from: Source): 128 | 256 | undefined {
  const algorithm = readWord(from);
  if (algorithm === NONE) return undefined;
  const bits = readWord(from);
  const mode = readWord(from);
  if (algorithm !== AES || mode !== CFB || (bits !== 128 && bits !== 256)) throw refuse('a cipher that is not AES-CFB');
  return bits;
}

/** TPMT_RSA_SCHEME, TPMT_ECC_SCHEME (Part 2 §11.2.4.2, §11.2.5.6). */
function readScheme(from: Source, kind: number): TpmPublic['scheme'] {
  const number = readWord(from);
  if (number === NONE) return undefined;
  const scheme = SCHEMES[number];
  const digest = HASHES[readWord(from)];
  if (scheme === undefined || digest === undefined || (scheme === 'ecdsa') !== (kind === ECC)) {
    throw refuse('a way of signing that is not accepted');
  }
  return { kind: scheme, hash: digest };
}

function readRsa(from: Source): { readonly key: KeyObject } {
  const bits = readWord(from);
  const exponent = readNumber(from, 4);
  const modulus = readSized(from, 512);
  if (bits < 2048 || modulus.length * 8 !== bits) throw refuse('an RSA key of a length that is not accepted');
  // As long as it says, and odd: with others OpenSSL throws, or wraps nothing.
  if (modulus[0]! < 0x80 || modulus.at(-1)! % 2 === 0) throw refuse('an RSA key that is none');
  // 0 stands for the usual one (Part 2 §12.2.3.5).
  if (exponent !== 0 && exponent !== 65_537) throw refuse('an RSA key with another exponent than 65537');
  return { key: importKey({ kty: 'RSA', n: toBase64url(modulus), e: 'AQAB' }) };
}

function readEcc(from: Source): { readonly key: KeyObject; readonly point: NonNullable<TpmPublic['point']> } {
  const curve = CURVES[readWord(from)];
  if (readWord(from) !== NONE) throw refuse('a key with a derivation of its own');
  if (curve === undefined) throw refuse('a curve that is not accepted');
  const [x, y] = [readCoordinate(from, curve.octets), readCoordinate(from, curve.octets)];
  const key = importKey({ kty: 'EC', crv: curve.jwk, x: toBase64url(x), y: toBase64url(y) });
  return { key, point: { curve: curve.openssl, x, y } };
}

/** Modules may leave leading zeros out. */
function readCoordinate(from: Source, octets: number): Uint8Array {
  const short = readSized(from, octets);
  const whole = new Uint8Array(octets);
  whole.set(short, octets - short.length);
  return whole;
}

function importKey(jwk: Readonly<Record<string, string>>): KeyObject {
  try {
    // Node refuses a point that is not on its curve.
    return createPublicKey({ key: jwk as { kty: string }, format: 'jwk' });
  } catch {
    throw refuse('a key that is none');
  }
}

/** What a module says of an object that it holds (TPMS_ATTEST with TPMS_CERTIFY_INFO, Part 2 §10.12.8, §10.12.3). */
export interface TpmCertified {
  /** What the caller of TPM2_Certify gave along. */
  readonly qualifyingData: Uint8Array;
  /** Name of the object. */
  readonly name: Uint8Array;
}

/** TPM_GENERATED_VALUE: a restricted key signs nothing from outside that begins so. */
const GENERATED = 0xff54_4347;
const ATTEST_CERTIFY = 0x8017;

export function readTpmCertified(octets: Uint8Array): TpmCertified {
  const from = open(octets);
  if (readNumber(from, 4) !== GENERATED) throw refuse('something that no module made');
  if (readWord(from) !== ATTEST_CERTIFY) throw refuse('an attestation of another kind');
  readSized(from, 68);
  const qualifyingData = readSized(from, 66);
  // Clock, counts of resets and restarts, whether the clock is safe; version of the firmware.
  take(from, 8 + 4 + 4 + 1 + 8);
  const name = readSized(from, 68);
  readSized(from, 68);
  finish(from);
  return { qualifyingData, name };
}

/** TPMT_SIGNATURE (Part 2 §11.3.4), in the form of `node:crypto`: for ECDSA r and s, each in the curve's length. */
export interface TpmSignature {
  readonly kind: Scheme;
  readonly hash: TpmHash;
  readonly signature: Uint8Array;
}

/** `by` is the key that it is to be verified with. */
export function readTpmSignature(octets: Uint8Array, by: TpmPublic): TpmSignature {
  const from = open(octets);
  const kind = SCHEMES[readWord(from)];
  const digest = HASHES[readWord(from)];
  if (kind === undefined || digest === undefined) throw refuse('a signature of a kind that is not accepted');
  const { point } = by;
  if ((kind === 'ecdsa') !== (point !== undefined)) throw refuse('a signature that is not of this kind of key');
  const signature =
    point === undefined
      ? readSized(from, 512)
      : Buffer.concat([readCoordinate(from, point.x.length), readCoordinate(from, point.x.length)]);
  finish(from);
  return { kind, hash: digest, signature };
}

interface Source {
  readonly octets: Uint8Array;
  at: number;
}

function open(octets: Uint8Array): Source {
  if (octets.length > LARGEST) throw refuse('more than such a structure holds');
  return { octets, at: 0 };
}

function take(from: Source, length: number): Uint8Array {
  const end = from.at + length;
  if (end > from.octets.length) throw refuse('something that is cut off');
  const taken = from.octets.subarray(from.at, end);
  from.at = end;
  return taken;
}

function readNumber(from: Source, octets: 2 | 4): number {
  return take(from, octets).reduce((value, octet) => value * 256 + octet, 0);
}

function readWord(from: Source): number {
  return readNumber(from, 2);
}

/** A TPM2B: its length in two octets, and so many. */
function readSized(from: Source, most: number): Uint8Array {
  const length = readWord(from);
  if (length > most) throw refuse('a part that is longer than it can be');
  return take(from, length);
}

function finish({ octets, at }: Source): void {
  if (at !== octets.length) throw refuse('more than such a structure holds');
}

/** Two octets, as a TPM writes numbers. */
export function word(value: number): Uint8Array {
  return Uint8Array.of(value >> 8, value & 0xff);
}

/** As a TPM2B. */
export function sized(octets: Uint8Array): Uint8Array {
  return Buffer.concat([word(octets.length), octets]);
}

function refuse(what: string): WritError {
  return new WritError('bad_request', `The trusted platform module’s structure is ${what}.`, {
    remedy:
      'Give structures as TPM 2.0 writes them, of RSA keys from 2048 bits or P-256 to P-521, with SHA-256 or longer.',
  });
}
