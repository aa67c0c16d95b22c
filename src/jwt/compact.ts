import { isWritError } from '../base/error.ts';
import { parseJsonObject } from '../wire/json.ts';
import { fromBase64url } from './base64url.ts';

/** Characters of the longest token that is looked at. */
const LONGEST_TOKEN = 65_536;
const LONGEST_HEADER = 4096;

/** The parts of a token in compact form (RFC 7515 §7.1), nothing of it believed. */
export interface CompactToken {
  readonly header: Readonly<Record<string, unknown>>;
  /** What is signed. */
  readonly input: string;
  readonly signature: Uint8Array;
  /** The payload as a JSON object; undefined where it is none, or has a member twice. */
  claims(): Readonly<Record<string, unknown>> | undefined;
}

/**
 * Takes a token apart, or says in a sentence why it is none. Strict beyond the RFC, since a token that two readers read
 * differently is worth nothing: one spelling of base64url, no member twice, no trailing octet.
 */
export function parseCompact(token: string): CompactToken | string {
  if (token.length > LONGEST_TOKEN) return 'The token is too long.';
  const parts = token.split('.');
  const [protectedText = '', payloadText = '', signatureText = ''] = parts;
  if (parts.length !== 3) return 'The token does not have three parts.';
  if (protectedText.length > LONGEST_HEADER) return 'The header of the token is too long.';
  const [header, signature] = [objectOf(protectedText), fromBase64url(signatureText)];
  if (header === undefined || signature === undefined) return 'The token is not base64url of JSON.';
  return { header, input: `${protectedText}.${payloadText}`, signature, claims: () => objectOf(payloadText) };
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
