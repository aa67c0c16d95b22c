import type { Authorize } from '../base/access.ts';
import type { Clock } from '../base/clock.ts';
import type { Random } from '../base/random.ts';
import type { CommitBatch } from '../db/batch.ts';
import type { Reader } from '../db/database.ts';

/** What the flows of this folder use. */
export interface ApprovalParts {
  readonly reader: Reader;
  readonly authorize: Authorize;
  readonly commit: CommitBatch;
  readonly clock: Clock;
  readonly random: Random;
  /** URLs that are told of what happens. */
  readonly webhooks: readonly string[];
}

/** What policy is asked about. */
export const INSTALLATION: { readonly type: 'Installation'; readonly id: 'writ' } = {
  type: 'Installation',
  id: 'writ',
};
