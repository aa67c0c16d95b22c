import { WritError } from '../base/error.ts';
import { fromBase64, toBase64 } from './base64.ts';
import { equalBytes } from './hash.ts';
import { isKeyName, type NoteKey, verifyNoteSignature } from './note-key.ts';

/** A signed note (C2SP signed-note v1.0.0): text that ends in a line feed, and signatures on it. */
export interface Note {
  readonly text: string;
  readonly signatures: readonly NoteSignature[];
}

export interface NoteSignature {
  readonly name: string;
  /** Four octets. */
  readonly id: Uint8Array;
  readonly signature: Uint8Array;
}

/** Room for a log's two signatures and a dozen post-quantum witnesses; signed-note asks for at least 16 signatures. */
const MAX_SIGNATURES = 32;
const MAX_NOTE_BYTES = 256 * 1024;
const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The signature that `key` gave, ready to stand in a note. */
export function noteSignature(key: NoteKey, signature: Uint8Array): NoteSignature {
  return { name: key.name, id: key.id, signature };
}

export function formatNote(note: Note): string {
  let all = `${note.text}\n`;
  for (const { name, id, signature } of note.signatures) {
    all += `\u2014 ${name} ${toBase64(Buffer.concat([id, signature]))}\n`;
  }
  return all;
}

/** Reads a note strictly; nothing is verified yet. `bad_note` for anything that `formatNote` would not write. */
export function parseNote(bytes: Uint8Array | string): Note {
  if (bytes.length > MAX_NOTE_BYTES) throw new WritError('too_large', 'the note is longer than 256 KiB');
  const whole = typeof bytes === 'string' ? bytes : decode(bytes);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
  if (/[\u0000-\u0009\u000b-\u001f]/.test(whole) || !whole.isWellFormed()) throw bad('holds control characters');
  const split = whole.lastIndexOf('\n\n');
  if (split < 0 || !whole.endsWith('\n')) throw bad('has no blank line before its signatures');
  const lines = whole.slice(split + 2, -1).split('\n');
  if (lines.length > MAX_SIGNATURES) throw new WritError('too_large', 'the note has more than 32 signatures');
  return { text: whole.slice(0, split + 1), signatures: lines.map(parseSignature) };
}

function decode(bytes: Uint8Array): string {
  try {
    return UTF8.decode(bytes);
  } catch {
    throw bad('is not UTF-8');
  }
}

function parseSignature(line: string): NoteSignature {
  const match = /^\u2014 (\S+) ([A-Za-z0-9+/]+={0,2})$/.exec(line);
  const bytes = fromBase64(match?.[2] ?? '');
  if (match === null || bytes === undefined || bytes.length < 5 || !isKeyName(match[1]!)) {
    throw bad('has a malformed signature line');
  }
  return { name: match[1]!, id: bytes.subarray(0, 4), signature: bytes.subarray(4) };
}

/**
 * The keys among `keys` that signed the note, each once. Signatures of other keys are passed over, as signed-note asks;
 * one of a known key that does not verify is `bad_note`, and so is a note that no known key signed.
 */
export function verifyNote(note: Note, keys: readonly NoteKey[]): NoteKey[] {
  const signers = new Set<NoteKey>();
  for (const { name, id, signature } of note.signatures) {
    const key = keys.find((candidate) => candidate.name === name && equalBytes(candidate.id, id));
    if (key === undefined) continue;
    if (!verifyNoteSignature(key, note.text, signature)) throw bad('has a signature that does not verify');
    signers.add(key);
  }
  if (signers.size === 0) throw bad('is not signed by any key that was given');
  return [...signers];
}

/** When `key` cosigned the note, in seconds since the epoch; undefined when it did not. Not verified here. */
export function cosignedAt(note: Note, key: NoteKey): bigint | undefined {
  const found = note.signatures.find(({ name, id }) => name === key.name && equalBytes(id, key.id));
  return found === undefined || found.signature.length < 8
    ? undefined
    : Buffer.from(found.signature.subarray(0, 8)).readBigUInt64BE();
}

function bad(what: string): WritError {
  return new WritError('bad_note', `the note ${what}`, {
    remedy: 'Fetch it again, and check that the public keys are those of this log (C2SP signed-note).',
  });
}
