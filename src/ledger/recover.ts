import { WritError } from '../base/error.ts';
import type { Database } from '../db/database.ts';
import { parseCheckpoint } from '../merkle/checkpoint.ts';
import type { Edge } from '../merkle/edge.ts';
import { equalBytes } from '../merkle/hash.ts';
import { parseNote, verifyNote } from '../merkle/note.ts';
import type { Anchor } from './anchor.ts';
import { loadEdge } from './edge-store.ts';
import { type Head, readHead } from './head.ts';
import { type LedgerKeys, type LogSigner, logSigner } from './log-signer.ts';

export interface RecoverOptions {
  readonly database: Database;
  readonly keys: LedgerKeys;
  readonly anchor?: Anchor;
}

/** Where the log stands, read from what is stored and checked against itself. */
export interface Recovered {
  readonly head: Head;
  readonly edge: Edge;
  readonly signer: LogSigner;
}

/**
 * Reads the log's state, at start-up and after a commit whose outcome is unknown: one path for both. The anchor is
 * brought up to the database where a crash came between the two. Rejects with `ledger_corrupt` when head, checkpoint and
 * tree do not agree or the head was not signed with these keys, with `behind_anchor` when the anchor knows more than the
 * database.
 */
export async function recover({ database, keys, anchor }: RecoverOptions): Promise<Recovered> {
  // One transaction, so that head and entries are of one instant whoever else commits.
  const found = await database.transaction(async (tx) => {
    const head = await readHead(tx);
    if (head === undefined) throw new WritError('ledger_corrupt', 'the database holds no ledger');
    const edge = await loadEdge(tx, head.size);
    return { head, edge, signer: logSigner(head.origin, keys) };
  });
  checkHead(found);
  await anchor?.compare(database, found.head, found.signer.keys);
  await anchor?.follow(database, found.signer);
  return found;
}

/** A head says the same three times: in its columns, in its signed checkpoint, and in the tree that is stored. */
function checkHead({ head, edge, signer }: Recovered): void {
  if (!equalBytes(edge.root(), head.root)) throw contradiction('the stored entries do not lead to the stored root');
  const note = parseNote(head.note);
  verifyNote(note, signer.keys);
  const checkpoint = parseCheckpoint(note.text);
  const same = checkpoint.size === head.size && equalBytes(checkpoint.root, head.root);
  if (!same || checkpoint.origin !== head.origin) throw contradiction('the head is not what its checkpoint says');
}

function contradiction(what: string): WritError {
  return new WritError('ledger_corrupt', `the ledger contradicts itself: ${what}`, {
    remedy: 'Nothing is issued on it. Run "writ ledger verify" on a copy, then restore a backup.',
  });
}
