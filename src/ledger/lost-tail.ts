import { isWritError, WritError } from '../base/error.ts';
import type { Reader } from '../db/database.ts';
import type { Checkpoint } from '../merkle/checkpoint.ts';
import { equalBytes, leafHash } from '../merkle/hash.ts';
import { parseNote, verifyNote } from '../merkle/note.ts';
import { type NoteKey, renameKey } from '../merkle/note-key.ts';
import type { Anchor } from './anchor.ts';
import type { AnchoredBatch } from './anchor-record.ts';
import type { EncodedBatch } from './encode.ts';
import { decodeEntry, recordedLeaf } from './entry.ts';
import { feedWrites } from './feed.ts';
import { writeGroup } from './group.ts';
import { lockHead } from './head.ts';
import { logDomain, logNumber } from './log-signer.ts';
import type { LogOptions, LogState } from './log-state.ts';
import { storedRoot } from './stored-tree.ts';

/** What the anchor knows beyond the database. */
export interface LostTail {
  /** The most leaves that the log is known to have had. */
  readonly size: number;
  /** The anchor's checkpoint, when it is of a tree that the database does not have. */
  readonly checkpoint?: { readonly note: string; readonly checkpoint: Checkpoint };
  /** Anchored batches that the database does not have, in the order of their leaves. */
  readonly batches: readonly AnchoredBatch[];
}

/**
 * Compares the anchor with the database; undefined when the database has all that the anchor knows. Rejects with
 * `ledger_corrupt` when both hold checkpoints of the same log that cannot belong to one history, with `bad_config` when
 * the anchor is that of another installation.
 */
export async function findLostTail(anchor: Anchor, reader: Reader, log: LogState): Promise<LostTail | undefined> {
  const { head, signer } = log;
  const found = await openAnchor(anchor, signer.keys);
  const relation = found === undefined ? 'same' : await relate(reader, found.checkpoint.origin, log);
  // The anchor is about to be brought up to a new log, and its checkpoint says nothing of that one. What its records say
  // of it counts all the same.
  const saved = relation === 'earlier' ? undefined : found;
  // A database from before a new log was started lacks that log's beginning, whatever its size says.
  const ahead = saved !== undefined && (relation === 'later' || saved.checkpoint.size > head.size) ? saved : undefined;
  if (saved !== undefined && ahead === undefined) await checkPrefix(reader, saved.checkpoint, head.size);
  const batches = await batchesBeyond(anchor, log, relation === 'later');
  const size = Math.max(ahead?.checkpoint.size ?? 0, ...batches.map((batch) => batch.first + batch.entries.length));
  if (ahead !== undefined) return { size, checkpoint: ahead, batches };
  return batches.length === 0 ? undefined : { size, batches };
}

/** The anchor's checkpoint, signed with these keys. */
async function openAnchor(anchor: Anchor, keys: readonly NoteKey[]): ReturnType<Anchor['checkpoint']> {
  try {
    const saved = await anchor.checkpoint();
    if (saved === undefined) return undefined;
    const { origin } = saved.checkpoint;
    verifyNote(
      parseNote(saved.note),
      keys.map((key) => renameKey(key, origin)),
    );
    return saved;
  } catch (cause) {
    if (!isWritError(cause, 'bad_note')) throw cause;
    throw new WritError('bad_config', 'the checkpoint in the anchor directory is not one of this ledger', {
      field: '--anchor',
      remedy: 'Name the anchor directory of this installation. If its file was damaged, put it back from a copy.',
      cause,
    });
  }
}

/** How the log that the anchor's checkpoint names stands to the log of the database. */
async function relate(reader: Reader, origin: string, { head }: LogState): Promise<'same' | 'earlier' | 'later'> {
  if (origin === head.origin) return 'same';
  const known = await reader.get('SELECT log FROM ledger_log WHERE origin = ?', [origin]);
  if (known !== undefined) return 'earlier';
  if (logDomain(origin) === logDomain(head.origin)) return 'later';
  throw new WritError('bad_config', 'the anchor directory is that of another trust domain', {
    field: '--anchor',
    remedy: 'Name the anchor directory of this installation, or an empty one.',
  });
}

async function checkPrefix(reader: Reader, checkpoint: Checkpoint, size: number): Promise<void> {
  if (checkpoint.size <= size && equalBytes(await storedRoot(reader, checkpoint.size), checkpoint.root)) return;
  throw new WritError('ledger_corrupt', 'the ledger is not a continuation of the checkpoint in the anchor', {
    remedy: 'Two databases have used one anchor, or entries were altered. Run "writ ledger verify" on a copy of each.',
  });
}

/**
 * The anchored batches beyond the database, in the order of their leaves. With `later`, also those of logs that were
 * started after the one that the database holds; a batch that such a log took over from the one before comes once.
 */
async function batchesBeyond(anchor: Anchor, { head, signer }: LogState, later: boolean): Promise<AnchoredBatch[]> {
  const found = new Map<string, AnchoredBatch>();
  for await (const { origin, batches } of anchor.records((name) => renameKey(signer.keys[0], name))) {
    const number = logNumber(origin);
    if (number < head.log) break;
    if (number > head.log && !later) continue;
    for (const batch of batches) {
      if (batch.first >= head.size) found.set(Buffer.concat(batch.entries).toString('latin1'), batch);
    }
    // Records stand in the order of their leaves but for those of processes that wrote at the same time.
    if (batches.every((batch) => batch.first + batch.entries.length + OUT_OF_ORDER < head.size)) break;
  }
  return [...found.values()].sort((a, b) => a.first - b.first);
}

/** Leaves by which a record can stand behind its place. Generous: it only bounds how far a start reads back. */
const OUT_OF_ORDER = 10_000;

/** True when the anchor holds every entry that is missing, and they lead to its checkpoint. */
export function isComplete(lost: LostTail, log: LogState): boolean {
  const { checkpoint } = lost.checkpoint ?? {};
  if (checkpoint !== undefined && checkpoint.origin !== log.head.origin) return false;
  const edge = log.edge.clone();
  for (const { first, entries } of lost.batches) {
    if (first !== edge.size) return false;
    for (const entry of entries) {
      edge.append(leafHash(entry));
      if (edge.size === checkpoint?.size && !equalBytes(edge.root(), checkpoint.root)) return false;
    }
  }
  return edge.size >= lost.size;
}

/** Makes of anchored batches the batches that commit them again: the same entries, and the writes they stand for. */
export async function replayedBatches(
  batches: readonly AnchoredBatch[],
  { replay }: LogOptions,
): Promise<EncodedBatch[]> {
  const encoded: EncodedBatch[] = [];
  for (const { first, entries } of batches) {
    const events = entries.map((entry, i) => decodeEntry(first + i, entry));
    if (replay === undefined) throw new WritError('internal', 'there is an anchor, but nothing that replays from it');
    const { checks, writes } = await replay(events);
    const feed = feedWrites(events, events[0]?.time ?? 0);
    encoded.push({
      checks,
      writes: [...writes, ...feed],
      leaves: entries.map(recordedLeaf),
      bumpsEpoch: true,
      anchored: true,
    });
  }
  return encoded;
}

/** Appends a complete lost tail again, byte by byte, in one transaction. */
export async function replayTail(lost: LostTail, log: LogState, options: LogOptions): Promise<void> {
  const { database, clock, partitions } = options;
  const members = (await replayedBatches(lost.batches, options)).map((batch) => ({ batch, cosign: false }));
  await database.transaction(async (tx) => {
    const locked = await lockHead(tx, database.engine);
    if (locked.size !== log.head.size) throw new WritError('unavailable', 'another process is recovering the ledger');
    const now = clock.now();
    const head = { ...locked, epoch: epochAfterRestore(locked.epoch, now) };
    const { edge, signer } = log;
    const { commits } = await writeGroup(tx, members, { head, edge: edge.clone(), signer, now, partitions });
    if (!commits.every((commit) => commit.committed)) {
      throw new WritError('behind_anchor', 'a revocation that only the anchor knows could not be recorded again');
    }
  });
}

/**
 * The epoch to go on from when the stored one may be older than what was already published: the time in milliseconds,
 * which no history reaches that adds one for each change.
 */
export function epochAfterRestore(stored: number, now: number): number {
  return Math.max(stored + 1, now);
}
