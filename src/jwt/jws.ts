import { constants, verify } from 'node:crypto';
import { isWritError } from '../base/error.ts';
import { parseJsonObject } from '../wire/json.ts';
import { fromBase64url, toBase64url } from './base64url.ts';
import type { JwsAlgorithm, SigningAlgorithm, VerificationKey } from './jwk.ts';

/** Characters of the longest token that is looked at. */
export const LONGEST_TOKEN = 65_536;
const LONGEST_HEADER = 4096;

export interface VerifyOptions {
  /** Keys of whoever is believed; nothing that the token brings itself counts. */
  readonly keys: readonly VerificationKey[];
  /**
   * The media type without `application/`, in small letters, that the header must state (RFC 8725 §3.11); several where
   * issuers differ, and `undefined` among them where one states none.
   */
  readonly typ: string | readonly (string | undefined)[];
}

/** A JSON object whose signature was verified, or why it is not believed. */
export type Verified =
  | { readonly ok: true; readonly claims: Readonly<Record<string, unknown>>; readonly kid: string | undefined }
  | {
      readonly ok: false;
      /** `malformed` is no such token; `key` names no key of theirs; `signature` is not by that key. */
      readonly fault: 'malformed' | 'key' | 'signature';
      /** A sentence that repeats nothing of the token. */
      readonly why: string;
    };

/**
 * Verifies a signed token in compact form (RFC 7515 §7.1) whose payload is a JSON object. Strict beyond the RFC, since a
 * token that two readers read differently is worth nothing: one spelling of base64url, no member twice, no trailing
 * octet. The algorithm is that of the key and the header must say the same, so that `none`, HMAC under a public key and
 * every other confusion end here (RFC 8725 §3.1); extensions that must be understood (`crit`) are not.
 */
export function verifyJws(token: string, { keys, typ }: VerifyOptions): Verified {
  if (token.length > LONGEST_TOKEN) return malformed('The token is too long.');
  const parts = token.split('.');
  const [protectedText = '', payloadText = '', signatureText = ''] = parts;
  if (parts.length !== 3) return malformed('The token does not have three parts.');
  if (protectedText.length > LONGEST_HEADER) return malformed('The header of the token is too long.');
  const [header, signature] = [objectOf(protectedText), fromBase64url(signatureText)];
  if (header === undefined || signature === undefined) return malformed('The token is not base64url of JSON.');
  if (header['crit'] !== undefined || header['b64'] !== undefined || header['zip'] !== undefined) {
    return malformed('The token uses an extension that is not understood.');
  }
  if (!isOfType(header['typ'], typ)) {
    return malformed(`The token does not state the type ${typeof typ === 'string' ? typ : 'that is due'}.`);
  }
  const { alg, kid } = header;
  if (typeof alg !== 'string' || (kid !== undefined && typeof kid !== 'string')) {
    return malformed('The token names no algorithm, or a key by something that is no text.');
  }
  const key = keyFor(keys, alg, kid);
  if (key === undefined) return { ok: false, fault: 'key', why: 'No configured key has this name and algorithm.' };
  if (!isSigned(key, `${protectedText}.${payloadText}`, signature, alg as JwsAlgorithm)) {
    return { ok: false, fault: 'signature', why: 'The signature is not by the key that the token names.' };
  }
  const claims = objectOf(payloadText);
  if (claims === undefined) return malformed('The payload is not a JSON object, or has a member twice.');
  return { ok: true, claims, kid };
}

/** What the header of a token states, before anything is believed; undefined for what is no token. */
export function readJwsHeader(token: string): { readonly alg: string; readonly kid: string | undefined } | undefined {
  const parts = token.split('.', 4);
  if (token.length > LONGEST_TOKEN || parts.length !== 3 || parts[0]!.length > LONGEST_HEADER) return undefined;
  const { alg, kid } = objectOf(parts[0]!) ?? {};
  if (typeof alg !== 'string' || (kid !== undefined && typeof kid !== 'string')) return undefined;
  return { alg, kid };
}

function isOfType(stated: unknown, typ: VerifyOptions['typ']): boolean {
  const due = typeof typ === 'string' ? [typ] : typ;
  if (stated === undefined) return due.includes(undefined);
  return typeof stated === 'string' && due.includes(stated.toLowerCase().replace(/^application\//, ''));
}

/** By its name; without one only where there is no choice, so that no signature is tried under several keys. */
function keyFor(keys: readonly VerificationKey[], alg: string, kid: string | undefined): VerificationKey | undefined {
  const fitting = keys.filter(
    (key) => (key.algorithms as readonly string[]).includes(alg) && (kid === undefined || key.kid === kid),
  );
  return fitting.length === 1 ? fitting[0] : undefined;
}

interface Row {
  /** For `node:crypto`; null where the algorithm has its hash built in. */
  readonly hash: string | null;
  /** Octets of every signature, where they are always as many. */
  readonly length?: number;
  /** Octets of the salt, for RSASSA-PSS: as many as the hash has (RFC 7518 §3.5). */
  readonly salt?: number;
}

const TABLE: Readonly<Record<JwsAlgorithm, Row>> = {
  ES256: { hash: 'sha256', length: 64 },
  ES384: { hash: 'sha384', length: 96 },
  ES512: { hash: 'sha512', length: 132 },
  EdDSA: { hash: null, length: 64 },
  RS256: { hash: 'sha256' },
  RS384: { hash: 'sha384' },
  RS512: { hash: 'sha512' },
  PS256: { hash: 'sha256', salt: 32 },
  PS384: { hash: 'sha384', salt: 48 },
  PS512: { hash: 'sha512', salt: 64 },
};

/**
 * Whether `signature` is by `key` over the signing input, by this algorithm (default: the first that the key is for); of
 * ECDSA the form of RFC 7518 §3.4 alone. False also where the key is not for the algorithm. Never throws.
 */
export function isSigned(
  { algorithms, key }: VerificationKey,
  input: string,
  signature: Uint8Array,
  algorithm: JwsAlgorithm | undefined = algorithms[0],
): boolean {
  if (algorithm === undefined || !algorithms.includes(algorithm)) return false;
  const { hash, length, salt } = TABLE[algorithm];
  if (length !== undefined && signature.length !== length) return false;
  const octets = Buffer.from(input, 'ascii');
  try {
    if (salt !== undefined) {
      const padding = constants.RSA_PKCS1_PSS_PADDING;
      return verify(hash, octets, { key, padding, saltLength: salt }, signature);
    }
    return verify(hash, octets, algorithm.startsWith('ES') ? { key, dsaEncoding: 'ieee-p1363' } : key, signature);
  } catch {
    return false;
  }
}

function objectOf(text: string): Record<string, unknown> | undefined {
  const octets = fromBase64url(text);
  if (octets === undefined) return undefined;
  try {
    return parseJsonObject(octets);
  } catch (error) {
    if (isWritError(error)) return undefined;
    throw error;
  }
}

function malformed(why: string): Verified {
  return { ok: false, fault: 'malformed', why };
}

export interface JwsHeader {
  readonly alg: SigningAlgorithm;
  readonly typ: string;
  readonly kid: string;
}

/** What is signed (RFC 7515 §5.1 step 5). */
export function signingInput(header: JwsHeader, claims: object): string {
  return `${toBase64url(JSON.stringify(header))}.${toBase64url(JSON.stringify(claims))}`;
}

/** The token: what was signed, and its signature as RFC 7518 §3.4 has it (two numbers of 32 octets for ES256). */
export function assembleJws(input: string, signature: Uint8Array): string {
  return `${input}.${toBase64url(signature)}`;
}
