import type { Authorize } from '../base/access.ts';
import type { Clock } from '../base/clock.ts';
import type { Random } from '../base/random.ts';
import type { CommitBatch } from '../db/batch.ts';
import type { Reader } from '../db/database.ts';
import type { Idempotency } from '../http/idempotency.ts';
import type { AgentKind } from './agent.ts';

/** What the flows of this folder use. */
export interface RegistryParts {
  readonly reader: Reader;
  readonly authorize: Authorize;
  readonly commit: CommitBatch;
  readonly clock: Clock;
  readonly random: Random;
  /** Whether certificates of this kind can follow the profile of this name; `ca/` knows. */
  readonly profileFits: (profile: string, kind: AgentKind) => Promise<boolean>;
  /** Whether certificates that follow the profile of this name may carry all these DNS names. */
  readonly namesFit: (profile: string, dnsNames: readonly string[]) => Promise<boolean>;
  /** Stops that one caller makes within a minute. Absent: as the configuration has it by default. */
  readonly stopsAMinute?: number;
}

/** How one request wants its change made. */
export interface ChangeOptions {
  readonly idempotency?: Idempotency | undefined;
  /** Do everything but the commit, and answer what the change would give. */
  readonly dryRun?: boolean | undefined;
}

/** What policy is asked about when something is done to no agent in particular. */
export const INSTALLATION: { readonly type: 'Installation'; readonly id: 'writ' } = {
  type: 'Installation',
  id: 'writ',
};
