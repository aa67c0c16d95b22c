import type { Reader } from '../db/database.ts';
import { equalBytes } from '../merkle/hash.ts';
import type { NoteKey } from '../merkle/note-key.ts';
import type { Anchor } from './anchor.ts';
import type { RecordedEvent } from './entry.ts';
import { readHead } from './head.ts';
import type { IndexCheck, Report } from './index-check.ts';
import { subjectCheck } from './subject-check.ts';
import { anchoredCheck, verifyAnchorRecords } from './verify-anchor.ts';
import { anchorClaims, checkpointClaims, headClaims } from './verify-claims.ts';
import { checkStart, readLogs } from './verify-logs.ts';
import { verifyTree } from './verify-tree.ts';

export interface VerifyOptions {
  /** A copy, a snapshot, or a database that nobody writes to meanwhile. */
  readonly reader: Reader;
  /** The ledger's Ed25519 and ML-DSA-44 keys, from somewhere else than the copy. Their name does not matter. */
  readonly keys: readonly [NoteKey, NoteKey];
  readonly anchor?: Anchor;
  /** The anchor is of a moment when revocations from this leaf on may not have been in it yet. Absent: it has them all. */
  readonly anchoredBefore?: number | undefined;
  readonly checks?: readonly IndexCheck[];
  /** Gets every finding at once. Nothing is kept, so that memory stays bounded however much is wrong. */
  readonly report: Report;
  readonly progress?: (done: { readonly entries: number; readonly of: number }) => void;
}

export interface VerifySummary {
  readonly origin: string;
  readonly entries: number;
  readonly checkpoints: number;
  readonly findings: number;
}

/**
 * Verifies a ledger offline: each entry and tile is hashed, each kept checkpoint carries both signatures and is the root
 * of the stored entries at its size (so that any two are consistent), the head and the logs are what the entries say, the
 * anchor knows nothing else, and the tables agree. Never stops at the first finding. Not covered, because the log says
 * nothing of them: the head's `time` and `epoch`.
 */
export async function verifyLedger(options: VerifyOptions): Promise<VerifySummary> {
  const { reader, anchor, keys } = options;
  let findings = 0;
  const report: Report = (where, what) => {
    findings++;
    options.report(where, what);
  };
  const head = await readHead(reader);
  if (head === undefined) {
    report('head', 'is missing');
    return { origin: '', entries: 0, checkpoints: 0, findings };
  }
  const context = { keys, report };
  const logs = await readLogs(reader, head, context);
  const checkpoints = await checkpointClaims(reader, logs, context);
  const saved = anchor === undefined ? [] : await anchorClaims(anchor, head, context);
  const claims = [...headClaims(head, context), ...checkpoints, ...saved];
  for (const { where, checkpoint } of claims) {
    if (checkpoint.size > head.size) report(where, `is of a larger tree than the ${head.size} entries that are stored`);
  }
  const ours = claims.filter(({ checkpoint }) => checkpoint.size <= head.size);
  ours.sort((a, b) => a.checkpoint.size - b.checkpoint.size);

  const checks = [subjectCheck(reader), anchoredCheck(reader, head.size), ...(options.checks ?? [])];
  const tree = {
    ...{ reader, size: head.size, report },
    async events(events: readonly RecordedEvent[]): Promise<void> {
      for (const event of events) checkStart(event, logs, report);
      for (const check of checks) await check.entries(events, report);
    },
    progress: (entries: number) => options.progress?.({ entries, of: head.size }),
  };
  let next = 0;
  await verifyTree(
    tree,
    ours.map(({ checkpoint }) => checkpoint.size),
    (_, root) => {
      const { where, checkpoint } = ours[next++]!;
      if (!equalBytes(root, checkpoint.root)) report(where, 'is not the tree of the stored entries');
    },
  );
  for (const check of checks) await check.finish(report);
  for (const log of logs.filter(({ begun }) => !begun)) report(`log ${log.number}`, 'has no entry that starts it');
  if (anchor !== undefined)
    await verifyAnchorRecords(anchor, { reader, logs, before: options.anchoredBefore, ...context });
  return { origin: head.origin, entries: head.size, checkpoints: checkpoints.length, findings };
}
