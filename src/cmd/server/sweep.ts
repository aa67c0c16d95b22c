import { setTimeout as pause } from 'node:timers/promises';
import { pushApprovalPurge } from '../../approval/store.ts';
import { pushUsedEvidencePurge } from '../../attest/evidence-store.ts';
import { pushTokenPurge } from '../../attest/token/store.ts';
import type { Clock } from '../../base/clock.ts';
import { newId } from '../../base/id.ts';
import { pushRevokedPurge } from '../../ca/crl/revoked.ts';
import { pushShardPurge } from '../../ca/crl/shard.ts';
import { type Batch, type CommitBatch, newBatch } from '../../db/batch.ts';
import type { Reader } from '../../db/database.ts';
import { hasExpiredAnswers, purgeExpiredAnswers } from '../../http/idempotency.ts';
import { pushFeedPurge } from '../../ledger/feed.ts';
import { pushEmergencyPurge } from '../../registry/emergency.ts';
import { pushKeyPurge } from '../../registry/key-in-use.ts';

export interface SweepParts {
  readonly reader: Reader;
  readonly commit: CommitBatch;
  readonly clock: Clock;
  /** Days that rows stay past the time of what they describe. */
  readonly retentionDays: number;
}

/** Rows that go in one commit, and the pause after it: no request waits long behind a sweep. */
const STEP = 500;
const PAUSE_MS = 20;
/** Steps of one sweep at most; what is left is for the next. */
const MOST_STEPS = 1000;

const DAY_MS = 86_400_000;
/** The longest life of a join token. */
const TOKEN_MS = 30 * DAY_MS;

/** Takes out what is past its time and lies in tables that are not partitioned: lists, keys, first answers, join tokens, used evidence, approvals. */
export async function sweep({ reader, commit, clock, retentionDays }: SweepParts): Promise<void> {
  const tokensBefore = clock.now() - retentionDays * DAY_MS - TOKEN_MS;
  const step = async (fill: (batch: Batch) => void): Promise<boolean> => {
    const batch = newBatch();
    fill(batch);
    return (await commit(batch)).committed;
  };
  const kinds: readonly (() => Promise<boolean>)[] = [
    () => step((batch) => pushRevokedPurge(batch, clock.now(), STEP)),
    () => step((batch) => pushShardPurge(batch, clock.now(), STEP)),
    () => step((batch) => pushKeyPurge(batch, clock.now(), STEP)),
    () => step((batch) => pushFeedPurge(batch, clock.now(), STEP)),
    () => step((batch) => pushUsedEvidencePurge(batch, clock.now() - DAY_MS, STEP)),
    async () =>
      (await hasExpiredAnswers(reader, clock.now())) &&
      (await step((batch) => batch.writes.push(purgeExpiredAnswers(clock.now(), STEP)))),
    () => step((batch) => pushEmergencyPurge(batch, clock.now() - retentionDays * DAY_MS, STEP)),
    () => step((batch) => pushApprovalPurge(batch, clock.now() - retentionDays * DAY_MS, STEP)),
    () =>
      step((batch) =>
        pushTokenPurge(
          batch,
          newId(tokensBefore, (size) => new Uint8Array(size)),
          STEP,
        ),
      ),
  ];
  for (const once of kinds) {
    for (let steps = 0; steps < MOST_STEPS && (await once()); steps++) await pause(PAUSE_MS);
  }
}
