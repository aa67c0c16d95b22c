import { WritError } from '../base/error.ts';
import type { Random } from '../base/random.ts';
import type { JsonValue } from '../db/batch.ts';
import type { Transaction } from '../db/database.ts';
import { Edge } from '../merkle/edge.ts';
import { emptyRoot } from '../merkle/hash.ts';
import { formatVerifierKey } from '../merkle/note-key.ts';
import type { EncodedBatch } from './encode.ts';
import { decodeEntry, encodeLeaf } from './entry.ts';
import { type GroupContext, writeGroup } from './group.ts';
import { lockHead, readHead } from './head.ts';
import { logNumber, logOrigin, logSigner } from './log-signer.ts';
import { type LogOptions, readLog } from './log-state.ts';
import { epochAfterRestore, findLostTail, type LostTail, replayedBatches } from './lost-tail.ts';

export interface StartLogOptions extends LogOptions {
  readonly trustDomain: string;
  readonly random: Random;
}

/**
 * Starts the first log when the database has none: its head and its first entry, `log.started`. Gives the origin of the
 * log that is there now. Rejects with `behind_anchor` when the anchor already knows a log of this trust domain: then the
 * database is not new but lost.
 */
export async function startLog(options: StartLogOptions): Promise<string> {
  const { database, keys, trustDomain, clock, anchor } = options;
  const saved = await anchor?.checkpoint();
  return database.transaction(async (tx) => {
    const head = await readHead(tx);
    if (head !== undefined) return head.origin;
    if (saved !== undefined) {
      throw new WritError('behind_anchor', 'the anchor knows a ledger, but the database is empty', {
        remedy: 'Restore a backup of the database, or name an empty anchor directory for a new installation.',
      });
    }
    const signer = logSigner(logOrigin(trustDomain, 1), keys);
    const now = clock.now();
    await tx.run('INSERT INTO ledger_head (id, log, size, root, time, epoch, note) VALUES (1, 1, 0, ?, ?, 0, ?)', [
      emptyRoot(),
      now,
      await signer.sign(0, emptyRoot()),
    ]);
    const empty = { head: { log: 1, size: 0, time: now, epoch: 0 }, edge: new Edge(), signer };
    await beginLog(tx, empty, { ...options, lost: '', body: {}, rest: [] });
    return signer.origin;
  });
}

/**
 * Starts a new log where the tail of the present one is lost for good: what `writ ledger new-log` runs while no server
 * does. The new log takes over the entries that are left, at their places; its first own entry, `log.started`, names the
 * checkpoint that was lost; then every revocation that only the anchor knew is recorded again. All in one transaction.
 * The old log is never appended to again, so it never forks. Gives the new origin, how many batches were replayed, and how many
 * entries of each type are in them.
 *
 * Rejects with `conflict` when nothing is lost, unless `force` says that the anchor is lost, too.
 */
export async function startNewLog(
  options: StartLogOptions & { readonly force?: boolean },
): Promise<{ readonly origin: string; readonly replayed: number; readonly types: Readonly<Record<string, number>> }> {
  const { database, keys, trustDomain, clock, anchor } = options;
  const old = await database.transaction((tx) => readLog(tx, keys));
  const lost = anchor === undefined ? undefined : await findLostTail(anchor, database, old);
  if (lost === undefined && options.force !== true) {
    throw new WritError('conflict', 'the database has everything that the anchor knows, so no new log is needed', {
      remedy: 'Start the server as it is.',
    });
  }
  const batches = await replayedBatches(lost?.batches ?? [], options);
  const lostOrigin = lost?.checkpoint?.checkpoint.origin ?? old.head.origin;
  const log = Math.max(old.head.log, logNumber(lostOrigin)) + 1;
  const signer = logSigner(logOrigin(trustDomain, log), keys);
  const cosigned = await database.transaction(async (tx) => {
    const locked = await lockHead(tx, database.engine);
    if (locked.size !== old.head.size) throw new WritError('conflict', 'another process is appending to the ledger');
    const head = { ...locked, log, epoch: epochAfterRestore(locked.epoch, clock.now()) };
    await tx.run('UPDATE ledger_head SET log = ? WHERE id = 1', [log]);
    const body: Record<string, JsonValue> = { replaced: lostOrigin, kept: locked.size };
    if (lost?.checkpoint !== undefined) body['lost'] = lost.checkpoint.note;
    const replayed = {
      type: 'restore.replayed',
      subjects: [],
      body: { batches: batches.length, entries: batches.reduce((sum, batch) => sum + batch.leaves.length, 0) },
    };
    const leaf = encodeLeaf(replayed, { time: clock.now(), random: options.random });
    const writes = options.distrust?.(clock.now()) ?? [];
    const report = { checks: [], writes, leaves: [leaf], bumpsEpoch: true, anchored: false };
    const begun = { head, edge: old.edge.clone(), signer };
    return beginLog(tx, begun, { ...options, lost: lost?.checkpoint?.note ?? '', body, rest: [...batches, report] });
  });
  await anchor?.follow(database, signer);
  await anchor?.saveCheckpoint(cosigned);
  return { origin: signer.origin, replayed: batches.length, types: typesIn(lost) };
}

function typesIn(lost: LostTail | undefined): Record<string, number> {
  const types: Record<string, number> = {};
  for (const { first, entries } of lost?.batches ?? []) {
    for (const [i, entry] of entries.entries()) {
      const { type } = decodeEntry(first + i, entry);
      types[type] = (types[type] ?? 0) + 1;
    }
  }
  return types;
}

/** Registers the log and writes its first entries. Gives the cosigned checkpoint. Needs the lock, or an empty database. */
async function beginLog(
  tx: Transaction,
  at: Pick<GroupContext, 'head' | 'edge' | 'signer'>,
  how: StartLogOptions & {
    /** The checkpoint that was lost, as a note; empty for a first log. */
    readonly lost: string;
    /** More for the body of `log.started`. */
    readonly body: { readonly [key: string]: JsonValue };
    /** What is recorded right behind it. */
    readonly rest: readonly EncodedBatch[];
  },
): Promise<string> {
  const { head, signer } = at;
  const keys = signer.keys.map(formatVerifierKey);
  const now = how.clock.now();
  await tx.run('INSERT INTO ledger_log (log, origin, first_leaf, keys, lost) VALUES (?, ?, ?, ?, ?)', [
    head.log,
    signer.origin,
    head.size,
    keys.join('\n'),
    how.lost,
  ]);
  const started = { type: 'log.started', subjects: [], body: { ...how.body, origin: signer.origin, keys } };
  const leaf = encodeLeaf(started, { time: now, random: how.random });
  const first = { checks: [], writes: [], leaves: [leaf], bumpsEpoch: true, anchored: false };
  const group = [first, ...how.rest].map((batch, i) => ({ batch, cosign: i === 0 }));
  const { commits, cosigned } = await writeGroup(tx, group, { ...at, now, partitions: how.partitions });
  if (cosigned === undefined || !commits.every((commit) => commit.committed)) {
    throw new WritError('behind_anchor', 'a revocation that only the anchor knows could not be recorded again');
  }
  return cosigned;
}
