import { verify } from 'node:crypto';
import { isWritError } from '../base/error.ts';
import { parseJsonObject } from '../wire/json.ts';
import { fromBase64url, toBase64url } from './base64url.ts';
import type { JwsAlgorithm, VerificationKey } from './jwk.ts';

/** Characters of the longest token that is looked at. */
export const LONGEST_TOKEN = 65_536;
const LONGEST_HEADER = 4096;

export interface VerifyOptions {
  /** Keys of whoever is believed; nothing that the token brings itself counts. */
  readonly keys: readonly VerificationKey[];
  /** The one media type without `application/` that the header must state (RFC 8725 §3.11). */
  readonly typ: string;
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
  const stated = header['typ'];
  if (typeof stated !== 'string' || stated.toLowerCase().replace(/^application\//, '') !== typ) {
    return malformed(`The token does not state the type ${typ}.`);
  }
  const { alg, kid } = header;
  if (typeof alg !== 'string' || (kid !== undefined && typeof kid !== 'string')) {
    return malformed('The token names no algorithm, or a key by something that is no text.');
  }
  const key = keyFor(keys, alg, kid);
  if (key === undefined) return { ok: false, fault: 'key', why: 'No configured key has this name and algorithm.' };
  if (!isSigned(key, `${protectedText}.${payloadText}`, signature)) {
    return { ok: false, fault: 'signature', why: 'The signature is not by the key that the token names.' };
  }
  const claims = objectOf(payloadText);
  if (claims === undefined) return malformed('The payload is not a JSON object, or has a member twice.');
  return { ok: true, claims, kid };
}

/** By its name; without one only where there is no choice, so that no signature is tried under several keys. */
function keyFor(keys: readonly VerificationKey[], alg: string, kid: string | undefined): VerificationKey | undefined {
  const fitting = keys.filter((key) => key.algorithm === alg && (kid === undefined || key.kid === kid));
  return fitting.length === 1 ? fitting[0] : undefined;
}

/** Whether `signature` is by `key` over the signing input; the form of RFC 7518 §3.4 alone for ES256. Never throws. */
export function isSigned({ algorithm, key }: VerificationKey, input: string, signature: Uint8Array): boolean {
  if (algorithm !== 'RS256' && signature.length !== 64) return false;
  const octets = Buffer.from(input, 'ascii');
  try {
    if (algorithm === 'EdDSA') return verify(null, octets, key, signature);
    return verify('sha256', octets, algorithm === 'ES256' ? { key, dsaEncoding: 'ieee-p1363' } : key, signature);
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
  readonly alg: JwsAlgorithm;
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
