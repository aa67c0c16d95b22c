import { isWritError } from '../base/error.ts';
import type { Reader } from '../db/database.ts';
import { type Checkpoint, parseCheckpoint } from '../merkle/checkpoint.ts';
import { equalBytes } from '../merkle/hash.ts';
import { cosignedAt, parseNote, verifyNote } from '../merkle/note.ts';
import { NOTE_ED25519, type NoteKey, renameKey } from '../merkle/note-key.ts';
import type { Anchor } from './anchor.ts';
import { keptCheckpoints } from './checkpoint-store.ts';
import type { Head } from './head.ts';
import type { Report } from './index-check.ts';
import { logDomain } from './log-signer.ts';
import type { LogRow } from './verify-logs.ts';

/** A checkpoint whose root must be that of the stored entries. */
export interface Claim {
  readonly where: string;
  readonly checkpoint: Checkpoint;
}

export interface ClaimContext {
  readonly keys: readonly [NoteKey, NoteKey];
  readonly report: Report;
}

/** What the head claims: signed with Ed25519 at least. */
export function headClaims(head: Head, { keys, report }: ClaimContext): Claim[] {
  return claimsOf({ where: 'head', note: head.note, keys: [renameKey(keys[0], head.origin)], report }, (checkpoint) => {
    if (checkpoint.size !== head.size) report('head', 'has a checkpoint of another size');
    if (checkpoint.origin !== head.origin) report('head', 'has a checkpoint of another log');
    if (!equalBytes(checkpoint.root, head.root)) report('head', 'has another root than its checkpoint');
  });
}

/** What the kept checkpoints claim, each with both signatures of its log. */
export async function checkpointClaims(
  reader: Reader,
  logs: readonly LogRow[],
  { keys, report }: ClaimContext,
): Promise<Claim[]> {
  const claims: Claim[] = [];
  for (const { size, log: number, time, note } of await keptCheckpoints(reader)) {
    const where = `checkpoint ${size}`;
    const at = logs.findIndex((log) => log.number === number);
    const log = logs[at];
    if (log === undefined) {
      report(where, 'is of a log of which there is no row');
      continue;
    }
    const end = logs[at + 1]?.firstLeaf ?? Number.POSITIVE_INFINITY;
    if (size <= log.firstLeaf || size > end) report(where, 'is not within its log');
    const own = keys.map((key) => renameKey(key, log.origin));
    const found = claimsOf({ where, note, keys: own, report }, (checkpoint) => {
      if (checkpoint.size !== size) report(where, 'is a checkpoint of another size');
      if (checkpoint.origin !== log.origin) report(where, 'is a checkpoint of another log');
      if (Number(cosignedAt(parseNote(note), own[1]!)) * 1000 !== time) {
        report(where, 'has another time than its cosignature');
      }
    });
    claims.push(...found);
  }
  return claims;
}

/** What the checkpoint of the anchor claims. */
export async function anchorClaims(anchor: Anchor, head: Head, { keys, report }: ClaimContext): Promise<Claim[]> {
  const where = 'anchor checkpoint';
  try {
    const saved = await anchor.checkpoint();
    if (saved === undefined) return [];
    const own = keys.map((key) => renameKey(key, saved.checkpoint.origin));
    return claimsOf({ where, note: saved.note, keys: own, report }, (checkpoint) => {
      if (logDomain(checkpoint.origin) !== logDomain(head.origin)) report(where, 'is of another ledger');
    });
  } catch (error) {
    if (!isWritError(error)) throw error;
    report(where, `cannot be read: ${error.message}`);
    return [];
  }
}

/** Reads a note that all of `keys` must have signed: one claim, or none and a finding. */
function claimsOf(
  claim: { where: string; note: string; keys: readonly NoteKey[]; report: Report },
  check: (checkpoint: Checkpoint) => void,
): Claim[] {
  const { where, keys, report } = claim;
  try {
    const note = parseNote(claim.note);
    const signers = verifyNote(note, keys);
    for (const key of keys) {
      if (!signers.includes(key))
        report(where, `lacks the ${key.type === NOTE_ED25519 ? 'Ed25519' : 'ML-DSA-44'} signature`);
    }
    const checkpoint = parseCheckpoint(note.text);
    check(checkpoint);
    return [{ where, checkpoint }];
  } catch (error) {
    if (!isWritError(error)) throw error;
    report(where, `does not verify: ${error.message}`);
    return [];
  }
}
