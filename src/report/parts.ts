import type { Authorize } from '../base/access.ts';
import type { Clock } from '../base/clock.ts';
import type { Reader } from '../db/database.ts';
import type { PartitionMap } from '../db/partition-map.ts';

/** What the questions of this folder use. */
export interface ReportParts {
  readonly reader: Reader;
  /** Of the family `certificate`. */
  readonly certificates: PartitionMap;
  readonly authorize: Authorize;
  /** Brings the policy set up to what is committed. Waits for nothing when it is. */
  readonly refresh: () => Promise<void>;
  /** DER of what is sent after a leaf of the authority with this id, without the root. */
  readonly chain: (issuer: string) => readonly Uint8Array[];
  readonly clock: Clock;
}
