import type { ErrorCode } from '../base/error.ts';
import type { SqlValue } from './database.ts';

/**
 * Everything that one act changes: what must still hold, which rows are written, what is recorded. A `Batch` is plain
 * data that crosses threads; stores push into it and never write by themselves. The sequencer (`ledger/`) commits many
 * batches in one transaction, each of them whole or not at all.
 *
 * All batches, of all processes, are committed one after another under the lock of the log head, so a check that holds
 * there cannot be overtaken (DESIGN §3.9): conditions need no conditional UPDATE.
 */
export interface Batch {
  /** In order, before any write of this batch. The first that fails discards the batch. */
  readonly checks: Check[];
  readonly writes: Write[];
  /** What the ledger says of it. One leaf each, in order. `commit` adds version, time and nonce. */
  readonly events: LedgerEvent[];
  /**
   * Set when caches of standing (certificate status, agents, policy, authorities) may be wrong after this batch:
   * revocation, quarantine, policy or profile change, rotation. Adds one to the epoch.
   */
  bumpsEpoch: boolean;
  /**
   * Set when the events must be durable in the anchor, too, before anybody is told (revocations). A batch without events
   * waits until everything that is recorded is: for telling somebody that what they ask for is done already.
   */
  anchored: boolean;
  /**
   * An epoch that was current before anything was read that the batch rests on, the caller's own standing included.
   * While the stored one is still the same under the lock, checks of `standing` hold and are not asked. Absent: all are.
   */
  under?: number;
}

/** A query that must give at least one row (`present`) or none (`absent`). */
export interface Check {
  readonly sql: string;
  readonly params: readonly SqlValue[];
  readonly want: 'present' | 'absent';
  /** What the caller is told when it does not hold. */
  readonly refusal: ErrorCode;
  readonly reason: string;
  /**
   * Set when the answer can change only by batches that bump the epoch, and was `want` whenever whoever pushed the check
   * looked. Never of anything that time alone changes.
   */
  readonly standing?: true;
}

export interface Write {
  /**
   * One statement. In a partitioned write the text holds `{partition}` where the table's name goes.
   */
  readonly sql: string;
  readonly params: readonly (SqlValue | LeafIndex)[];
  /** Directs the write to the partition of `family` that covers the time `at`; `expires` extends how long it is kept. */
  readonly partition?: { readonly family: string; readonly at: number; readonly expires: number };
}

/** Stands for the ledger index of this batch's n-th event, known only at commit. */
export interface LeafIndex {
  readonly leaf: number;
}

/** One fact for the ledger: JSON (strings, integers, booleans, arrays, objects; no floats, no null). */
export interface LedgerEvent {
  /** One of the types of `ledger/event.ts`, e.g. `certificate.issued`. */
  readonly type: string;
  /** What this event is about, for `writ trace`: agent, instance, owner, token … as `kind:id`. Not part of the leaf. */
  readonly subjects: readonly string[];
  readonly body: { readonly [key: string]: JsonValue };
}

export type JsonValue = string | number | boolean | readonly JsonValue[] | { readonly [key: string]: JsonValue };

export function newBatch(): Batch {
  return { checks: [], writes: [], events: [], bumpsEpoch: false, anchored: false };
}

/** `firstLeaf` is the ledger index of the first event. */
export type Commit =
  | { readonly committed: true; readonly firstLeaf: number }
  | { readonly committed: false; readonly refusal: ErrorCode; readonly reason: string };

/**
 * Commits a batch with whatever else is in flight, and answers when it is durable. Rejects with `storage_failed`,
 * `unavailable` or `behind_anchor`; nothing of the batch was kept then, unless the error's field is `commit` (unknown).
 */
export type CommitBatch = (batch: Batch) => Promise<Commit>;

/**
 * Grows with every batch that `bumpsEpoch`, in this process at once and before that batch is acknowledged, for other
 * replicas' batches within the poll interval. A cache of standing is good while the number it was read under stays.
 */
export interface Epoch {
  current(): number;
}
