import { WritError } from '../base/error.ts';
import { fromBase64, toBase64 } from './base64.ts';
import { type Checkpoint, parseCheckpoint } from './checkpoint.ts';
import { HASH_SIZE } from './hash.ts';
import { parseNote, verifyNote } from './note.ts';
import type { NoteKey } from './note-key.ts';
import { verifyInclusion } from './proof.ts';

/** A receipt that verifies offline (C2SP tlog-proof): an entry's place in the tree of a signed checkpoint. */
export interface TlogProof {
  readonly index: number;
  /** Sibling of the leaf first (RFC 6962 §2.1.1). */
  readonly hashes: readonly Uint8Array[];
  /** The signed checkpoint, verbatim. */
  readonly checkpoint: string;
  /** Not authenticated. Writ puts the entry here, so that the receipt stands by itself. */
  readonly extra?: Uint8Array;
}

const HEADER = 'c2sp.org/tlog-proof@v1';
const MAX_PROOF_BYTES = 512 * 1024;

export function formatTlogProof(proof: TlogProof): string {
  const extra = proof.extra === undefined ? '' : `extra ${toBase64(proof.extra)}\n`;
  const hashes = proof.hashes.map((hash) => `${toBase64(hash)}\n`).join('');
  return `${HEADER}\n${extra}index ${proof.index}\n${hashes}\n${proof.checkpoint}`;
}

/** Reads a proof strictly; nothing is verified yet. */
export function parseTlogProof(text: string): TlogProof {
  if (text.length > MAX_PROOF_BYTES) throw new WritError('too_large', 'the proof is longer than 512 KiB');
  const split = text.indexOf('\n\n');
  if (split < 0) throw bad('has no blank line before its checkpoint');
  const lines = text.slice(0, split).split('\n');
  if (lines.shift() !== HEADER) throw bad(`does not begin with ${HEADER}`);
  const extraText = lines[0]?.startsWith('extra ') ? lines.shift()!.slice('extra '.length) : undefined;
  const extra = extraText === undefined ? undefined : fromBase64(extraText);
  if (extraText !== undefined && extra === undefined) throw bad('has an extra line that is not base64');
  const decimal = /^index (0|[1-9]\d{0,15})$/.exec(lines.shift() ?? '')?.[1];
  const index = Number(decimal ?? Number.NaN);
  if (!Number.isSafeInteger(index)) throw bad('has no index line');
  if (lines.length > 64) throw bad('has more hashes than a tree can need');
  const hashes = lines.map((line) => {
    const hash = fromBase64(line);
    if (hash?.length !== HASH_SIZE) throw bad('has a line that is no hash');
    return hash;
  });
  const proof = { index, hashes, checkpoint: text.slice(split + 2) };
  return extra === undefined ? proof : { ...proof, extra };
}

/**
 * Verifies a proof for the entry with that leaf hash. Every key named for the log that is in `keys` must be right
 * where it signed, at least one must have signed, and the checkpoint must be of `origin`. Gives the checkpoint and who
 * signed it; anything else is `bad_note`.
 */
export function verifyTlogProof(
  proof: TlogProof,
  leaf: Uint8Array,
  log: { readonly origin: string; readonly keys: readonly NoteKey[] },
): { readonly checkpoint: Checkpoint; readonly signers: readonly NoteKey[] } {
  const note = parseNote(proof.checkpoint);
  const signers = verifyNote(note, log.keys);
  const checkpoint = parseCheckpoint(note.text);
  if (checkpoint.origin !== log.origin) throw bad('is for another log');
  if (!verifyInclusion(leaf, proof.index, checkpoint, proof.hashes))
    throw bad('does not lead from the entry to the root');
  return { checkpoint, signers };
}

function bad(what: string): WritError {
  return new WritError('bad_note', `the proof ${what}`, {
    remedy: 'Ask for the receipt again; the entry must be given byte by byte as it was logged (C2SP tlog-proof).',
  });
}
