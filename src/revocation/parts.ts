import type { Authorize } from '../base/access.ts';
import type { Clock } from '../base/clock.ts';
import type { Random } from '../base/random.ts';
import type { CommitBatch } from '../db/batch.ts';
import type { Reader } from '../db/database.ts';
import type { PartitionMap } from '../db/partition-map.ts';
import type { Idempotency } from '../http/idempotency.ts';

/** What it takes to mark certificates as revoked. */
export interface MarkingParts {
  readonly reader: Reader;
  /** Of the family `certificate`. */
  readonly certificates: PartitionMap;
  readonly commit: CommitBatch;
  readonly clock: Clock;
}

/** What the flows of this folder use. */
export interface RevocationParts extends MarkingParts {
  readonly authorize: Authorize;
  /** Brings the policy set up to what is committed. Waits for nothing when it is. */
  readonly refresh: () => Promise<void>;
  /** Stops that one caller makes within a minute. Absent: as the configuration has it by default. */
  readonly stopsAMinute?: number;
}

/** What the cord needs besides (`stop.ts`, `quarantine.ts`). */
export interface CordParts extends RevocationParts {
  readonly random: Random;
  /** Instances that one person may stop for ever alone; beyond that a second confirms it. Absent: as above. */
  readonly massStop?: number;
}

/** Why something is stopped, as it came from outside: `ca/revocation-cause.ts` has the lists. */
export interface Why {
  readonly cause?: string | undefined;
  readonly reason?: string | undefined;
  /** Where somebody can read why: an http(s) URL, without anything secret in it. It goes to the ledger. */
  readonly evidence?: string | undefined;
}

export interface StopOptions {
  readonly idempotency?: Idempotency | undefined;
}
