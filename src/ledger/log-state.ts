import type { Clock } from '../base/clock.ts';
import { isWritError, WritError } from '../base/error.ts';
import type { Batch } from '../db/batch.ts';
import type { Database, Transaction } from '../db/database.ts';
import { type Checkpoint, parseCheckpoint } from '../merkle/checkpoint.ts';
import type { Edge } from '../merkle/edge.ts';
import { equalBytes } from '../merkle/hash.ts';
import { parseNote, verifyNote } from '../merkle/note.ts';
import type { Anchor } from './anchor.ts';
import type { PartitionTables } from './apply.ts';
import { loadEdge } from './edge-store.ts';
import type { RecordedEvent } from './entry.ts';
import { type Head, readHead } from './head.ts';
import { type LedgerKeys, type LogSigner, logSigner } from './log-signer.ts';

/** What whoever appends to the log has to have. */
export interface LogOptions {
  readonly database: Database;
  readonly keys: LedgerKeys;
  readonly partitions: PartitionTables;
  readonly clock: Clock;
  /** Without one, nothing notices that an older database was put in place. For tests and throw-away installations. */
  readonly anchor?: Anchor;
  /** Needed with an anchor. */
  readonly replay?: Replay;
  /**
   * What a new log writes, with the time of its beginning: the end of whatever the lost tail may have used up or
   * withdrawn, of which nobody knows any more.
   */
  readonly distrust?: (now: number) => Batch['writes'];
}

/**
 * Gives the checks and writes that these recorded events stand for, as the flow that recorded them would (revocation).
 * They must hold whatever is missing or there already: what was revoked may not be known to this database.
 */
type Replay = (events: readonly RecordedEvent[]) => Promise<Pick<Batch, 'checks' | 'writes'>>;

/** Where the log stands, read from what is stored and checked against itself. */
export interface LogState {
  readonly head: Head;
  readonly edge: Edge;
  readonly signer: LogSigner;
}

/**
 * Head and edge as stored, of one instant, checked against each other and against the keys. Rejects with
 * `ledger_corrupt` when they do not agree.
 */
export async function readLog(tx: Transaction, keys: LedgerKeys): Promise<LogState> {
  const head = await readHead(tx);
  if (head === undefined) throw new WritError('ledger_corrupt', 'the database holds no ledger');
  const edge = await loadEdge(tx, head.size);
  const signer = logSigner(head.origin, keys);
  if (!equalBytes(edge.root(), head.root)) throw contradiction('the stored entries do not lead to the stored root');
  const checkpoint = openHead(head.note, signer);
  const same = checkpoint.size === head.size && equalBytes(checkpoint.root, head.root);
  if (!same || checkpoint.origin !== head.origin) throw contradiction('the head is not what its checkpoint says');
  return { head, edge, signer };
}

function openHead(text: string, signer: LogSigner): Checkpoint {
  try {
    const note = parseNote(text);
    verifyNote(note, signer.keys);
    return parseCheckpoint(note.text);
  } catch (cause) {
    if (!isWritError(cause, 'bad_note')) throw cause;
    throw contradiction('its head is not signed with the ledger keys of this installation', cause);
  }
}

function contradiction(what: string, cause?: unknown): WritError {
  return new WritError('ledger_corrupt', `the ledger contradicts itself: ${what}`, {
    remedy: 'Nothing is issued on it. Run "writ ledger verify" on a copy, then restore a backup.',
    ...(cause === undefined ? {} : { cause }),
  });
}
