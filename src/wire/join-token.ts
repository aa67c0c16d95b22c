import { createHash } from 'node:crypto';
import { WritError } from '../base/error.ts';

/**
 * The one string that lets a newcomer in. Wire format, version 1, never changed:
 *
 *     writ-join-1-<base64url( root fingerprint (32) ‖ id (16) ‖ secret (20) ‖ host:port ‖ checksum (4) )>
 *
 * The fingerprint is the SHA-256 of the root certificate's DER. The checksum is the head of the SHA-256 of all before
 * it; it tells a cut or mistyped token from a refused one and protects nothing.
 */
export interface JoinToken {
  /** SHA-256 of the root's DER, 32 octets. */
  readonly rootFingerprint: Uint8Array;
  /** 16 octets, by which the server finds the token. */
  readonly id: Uint8Array;
  /** 20 octets; the server keeps only their hash. */
  readonly secret: Uint8Array;
  /** `host:port` of the server; an IPv6 host stands in brackets. */
  readonly address: string;
}

const PREFIX = 'writ-join-1-';
const FINGERPRINT = 32;
const ID = 16;
const SECRET = 20;
const CHECKSUM = 4;
const HEAD = FINGERPRINT + ID + SECRET;
const LONGEST_ADDRESS = 262;
const ADDRESS = /^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\]):[1-9]\d{0,4}$/;

export function formatJoinToken(token: JoinToken): string {
  const { rootFingerprint, id, secret, address } = token;
  if (
    rootFingerprint.length !== FINGERPRINT ||
    id.length !== ID ||
    secret.length !== SECRET ||
    !ADDRESS.test(address)
  ) {
    throw new WritError('internal', 'a join token of the wrong shape was about to be made');
  }
  const content = Buffer.concat([rootFingerprint, id, secret, Buffer.from(address, 'ascii')]);
  return PREFIX + Buffer.concat([content, checksum(content)]).toString('base64url');
}

/** Parses a token, white space around it aside. Throws `bad_token`, which never repeats what was given. */
export function parseJoinToken(text: string): JoinToken {
  const trimmed = text.trim();
  if (!trimmed.startsWith(PREFIX)) {
    throw bad(
      'does not begin as one',
      `Paste the whole line that "writ token create" printed; it begins with ${PREFIX}`,
    );
  }
  const encoded = trimmed.slice(PREFIX.length);
  const bytes = Buffer.from(encoded.slice(0, 1024), 'base64url');
  if (bytes.toString('base64url') !== encoded) throw bad('is cut or mistyped', 'Copy it again, the whole line.');
  const content = bytes.subarray(0, -CHECKSUM);
  if (content.length <= HEAD || !checksum(content).equals(bytes.subarray(-CHECKSUM))) {
    throw bad('is cut or mistyped', 'Copy it again, the whole line.');
  }
  const address = content.subarray(HEAD).toString('latin1');
  if (address.length > LONGEST_ADDRESS || !ADDRESS.test(address)) {
    throw bad('names no server', 'Make another with "writ token create".');
  }
  return {
    rootFingerprint: content.subarray(0, FINGERPRINT),
    id: content.subarray(FINGERPRINT, FINGERPRINT + ID),
    secret: content.subarray(FINGERPRINT + ID, HEAD),
    address,
  };
}

function checksum(content: Uint8Array): Buffer {
  return createHash('sha256').update(content).digest().subarray(0, CHECKSUM);
}

function bad(fault: string, remedy: string): WritError {
  return new WritError('bad_token', `The join token ${fault}.`, { field: 'token', remedy });
}
