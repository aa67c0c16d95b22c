import type { WritError } from '../base/error.ts';
import type { Check, Commit } from '../db/batch.ts';
import type { SqlValue, Transaction } from '../db/database.ts';
import type { Edge, FullTile } from '../merkle/edge.ts';
import { failedCheck, type PartitionTables, resolveParams, rowInserter, type Send } from './apply.ts';
import { storeCheckpoint } from './checkpoint-store.ts';
import type { EncodedBatch } from './encode.ts';
import { type HeadPosition, headUpdate } from './head.ts';
import type { LogSigner } from './log-signer.ts';

export interface GroupMember {
  readonly batch: EncodedBatch;
  /** Asks for the ML-DSA-44 cosignature on the head that this group makes. */
  readonly cosign: boolean;
}

export interface GroupContext {
  /** As locked by this transaction. */
  readonly head: HeadPosition;
  /** The edge at that head. It is appended to, so it must be a copy. */
  readonly edge: Edge;
  readonly signer: LogSigner;
  /** Milliseconds. */
  readonly now: number;
  readonly partitions: PartitionTables;
  /**
   * When set, statements are sent without waiting for each other, and this is thrown when a check does not hold: then
   * nothing of the transaction may be kept.
   */
  readonly onRefusal?: WritError | undefined;
}

/** What the transaction has written. True once it has committed. */
export interface GroupResult {
  readonly head: HeadPosition;
  /** One for each member, in order. */
  readonly commits: readonly Commit[];
  /** Leaves were added. */
  readonly grew: boolean;
  /** Some of them must be anchored. */
  readonly anchored: boolean;
  /** The checkpoint with both signatures, when a member asked for it. */
  readonly cosigned: string | undefined;
}

const insertEntries = rowInserter('ledger_entry', ['leaf', 'entry']);
const insertSubjects = rowInserter('ledger_subject', ['subject', 'leaf']);
const insertAnchored = rowInserter('ledger_anchored', ['first_leaf', 'leaves']);
const insertTiles = rowInserter('ledger_tile', ['level', 'tile', 'root', 'hashes']);

/** What is to be asked of the database: while the epoch stays, nobody's standing has changed. */
function checksOf({ checks, under }: EncodedBatch, epoch: number): readonly Check[] {
  return under === epoch ? checks.filter(({ standing }) => standing === undefined) : checks;
}

/**
 * Writes a group of batches inside one transaction that holds the lock of the head: for each batch its checks, then its
 * writes and leaves; for all together the entries, full tiles, the signed checkpoint and the head. A batch whose check
 * does not hold leaves nothing, because its checks come before its writes.
 */
export async function writeGroup(
  tx: Transaction,
  group: readonly GroupMember[],
  { head, edge, signer, now, partitions, onRefusal }: GroupContext,
): Promise<GroupResult> {
  const sent: Promise<unknown>[] = [];
  const send: Send = (sql, params) => {
    const done = tx.run(sql, params);
    if (onRefusal === undefined) return done;
    // Awaited at the end. Until then nobody listens, and a rejection must not count as unhandled.
    done.catch(() => undefined);
    sent.push(done);
    return undefined;
  };
  const checks: Promise<Check | undefined>[] = [];
  const commits: Commit[] = [];
  const entries: SqlValue[][] = [];
  const subjects: SqlValue[][] = [];
  const anchored: SqlValue[][] = [];
  const tiles: FullTile[] = [];
  let { epoch } = head;
  let changed = false;

  for (const { batch } of group) {
    const check = failedCheck(tx, checksOf(batch, epoch));
    if (onRefusal !== undefined) {
      check.catch(() => undefined);
      checks.push(check);
    } else {
      const failed = await check;
      if (failed !== undefined) {
        commits.push({ committed: false, refusal: failed.refusal, reason: failed.reason });
        continue;
      }
    }
    const first = edge.size;
    for (const leaf of batch.leaves) {
      entries.push([edge.size, leaf.entry]);
      for (const subject of leaf.indexed) subjects.push([subject, edge.size]);
      for (const tile of edge.append(leaf.hash)) tiles.push(tile);
    }
    for (const write of batch.writes) {
      const params = resolveParams(write, { first, count: batch.leaves.length });
      if (write.partition === undefined) await send(write.sql, params);
      else await send(write.sql.replaceAll('{partition}', await partitions.table(tx, write.partition)), params);
    }
    if (batch.anchored && batch.leaves.length > 0) anchored.push([first, batch.leaves.length]);
    if (batch.bumpsEpoch) epoch++;
    changed ||= batch.writes.length > 0 || batch.bumpsEpoch;
    commits.push({ committed: true, firstLeaf: first });
  }

  await insertEntries(send, entries);
  await insertSubjects(send, subjects);
  await insertAnchored(send, anchored);
  await insertTiles(
    send,
    tiles.map(({ level, index, root, hashes }) => [level, index, root, hashes]),
  );
  const next = { log: head.log, size: edge.size, time: Math.max(head.time, now), epoch };
  const grew = next.size > head.size;
  const cosign = group.some((member) => member.cosign);
  let cosigned: string | undefined;
  if (grew || changed || cosign) {
    const root = edge.root();
    const note = await signer.sign(next.size, root);
    await send(...headUpdate({ ...next, root, note }));
    if (cosign) {
      cosigned = await signer.cosign(note, now);
      // In whole seconds, as the cosignature says it.
      const time = now - (now % 1000);
      await storeCheckpoint(tx, { size: next.size, log: next.log, time, note: cosigned });
    }
  }
  if (onRefusal !== undefined) {
    if ((await Promise.all(checks)).some((failed) => failed !== undefined)) throw onRefusal;
    await Promise.all(sent);
  }
  return { head: next, commits, grew, anchored: anchored.length > 0, cosigned };
}
