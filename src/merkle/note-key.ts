import { createPublicKey, verify } from 'node:crypto';
import { WritError } from '../base/error.ts';
import { sha256 } from '../base/sha256.ts';
import { fromBase64, toBase64 } from './base64.ts';
import { cosignatureMessage } from './cosignature.ts';
import { equalBytes } from './hash.ts';

/** Signature type octets of C2SP signed-note. Wire values, they never change. */
export const NOTE_ED25519 = 0x01;
export const NOTE_ML_DSA_44 = 0x06;

/** A public key as notes name it (C2SP signed-note, verifier keys). */
export interface NoteKey {
  /** Of the log: its origin. No space, no plus. */
  readonly name: string;
  readonly type: typeof NOTE_ED25519 | typeof NOTE_ML_DSA_44;
  /** 32 octets for Ed25519, 1312 for ML-DSA-44. */
  readonly publicKey: Uint8Array;
  /** First four octets of SHA-256(name ‖ LF ‖ type ‖ public key). */
  readonly id: Uint8Array;
}

/** DER before the raw key in a SubjectPublicKeyInfo (RFC 8410 §4; RFC 9881 §4), and the key's length. */
const FORMATS = {
  [NOTE_ED25519]: { prefix: Buffer.from('302a300506032b6570032100', 'hex'), length: 32 },
  [NOTE_ML_DSA_44]: { prefix: Buffer.from('30820532300b06096086480165030403110382052100', 'hex'), length: 1312 },
} as const;

/** The key of that name from a DER SubjectPublicKeyInfo of Ed25519 or ML-DSA-44; `bad_note` for any other. */
export function noteKey(name: string, spki: Uint8Array): NoteKey {
  for (const type of [NOTE_ED25519, NOTE_ML_DSA_44] as const) {
    const { prefix, length } = FORMATS[type];
    if (spki.length === prefix.length + length && equalBytes(spki.subarray(0, prefix.length), prefix)) {
      return makeKey(name, type, spki.subarray(prefix.length));
    }
  }
  throw new WritError('bad_note', 'notes are signed with Ed25519 or ML-DSA-44 keys only');
}

/** The same public key under another name, which gives it another id: a key that signs for several logs. */
export function renameKey(key: NoteKey, name: string): NoteKey {
  return makeKey(name, key.type, key.publicKey);
}

/** Names in notes are not empty and hold neither Unicode spaces nor plus signs (signed-note, format). */
export function isKeyName(name: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
  return name !== '' && !/[\s+\p{White_Space}\u0000-\u001f]/u.test(name) && name.isWellFormed();
}

/** `<name>+<hex id>+<base64 of type and key>`, which Go's `note.NewVerifier` reads for Ed25519. */
export function formatVerifierKey(key: NoteKey): string {
  const id = Buffer.from(key.id).toString('hex');
  return `${key.name}+${id}+${toBase64(Buffer.concat([Buffer.of(key.type), key.publicKey]))}`;
}

/** Reads what `formatVerifierKey` writes; anything else is `bad_note`. */
export function parseVerifierKey(text: string): NoteKey {
  const match = text.length <= 4096 ? /^([^+]+)\+([0-9a-f]{8})\+(.+)$/.exec(text) : null;
  const material = fromBase64(match?.[3] ?? '');
  const type = material?.[0];
  if (match === null || material === undefined || (type !== NOTE_ED25519 && type !== NOTE_ML_DSA_44)) throw badKey();
  const key = makeKey(match[1]!, type, material.subarray(1));
  if (Buffer.from(key.id).toString('hex') !== match[2]) throw badKey();
  return key;
}

/** True when `signature` is that Ed25519 key's over the message itself, which is no note. */
export function verifyEd25519(key: NoteKey, message: Uint8Array, signature: Uint8Array): boolean {
  const spki = Buffer.concat([FORMATS[key.type].prefix, key.publicKey]);
  return key.type === NOTE_ED25519 && signature.length === 64 && check(spki, message, signature);
}

/** True when `signature` (without the key id) is that key's over the note's text. */
export function verifyNoteSignature(key: NoteKey, text: string, signature: Uint8Array): boolean {
  if (key.type === NOTE_ED25519) return verifyEd25519(key, Buffer.from(text), signature);
  const spki = Buffer.concat([FORMATS[key.type].prefix, key.publicKey]);
  if (signature.length !== 8 + 2420) return false;
  const timestamp = Buffer.from(signature.subarray(0, 8)).readBigUInt64BE();
  const message = cosignatureMessage({ cosigner: key.name, timestamp, checkpoint: text });
  return message !== undefined && check(spki, message, signature.subarray(8));
}

function check(spki: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  const key = createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' });
  return verify(null, message, key, signature);
}

function makeKey(name: string, type: NoteKey['type'], raw: Uint8Array): NoteKey {
  if (!isKeyName(name) || raw.length !== FORMATS[type].length) throw badKey();
  const id = sha256(Buffer.concat([Buffer.from(`${name}\n`), Buffer.of(type), raw])).subarray(0, 4);
  return { name, type, publicKey: raw, id };
}

function badKey(): WritError {
  return new WritError('bad_note', 'not a verifier key', {
    remedy: 'A verifier key reads <name>+<8 hex digits>+<base64>, as "writ ledger key" prints it.',
  });
}
