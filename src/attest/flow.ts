import type { AccessRequest, Authorize } from '../base/access.ts';
import type { Clock } from '../base/clock.ts';
import type { WritError } from '../base/error.ts';
import type { Random } from '../base/random.ts';
import type { Batch, CommitBatch } from '../db/batch.ts';
import type { Reader } from '../db/database.ts';
import type { Labels } from './token/store.ts';

/** What this folder asks of `registry/`. */
export interface Registered {
  /** An agent or service by name: what policy is asked about, and why nothing may be issued for it, if so. */
  agent(name: string): Promise<RegisteredAgent | undefined>;
  /** An instance by id: how far it may let others in. */
  instance(id: string): Promise<RegisteredInstance | undefined>;
  isActive(instance: string): Promise<boolean>;
  requireActive(batch: Batch, instance: string): void;
  /** Labels as they may be, in order. Throws `bad_request` and `too_large`. */
  parseLabels(labels: Labels, field: string): Labels;
}

export interface RegisteredAgent {
  readonly kind: 'agent' | 'service';
  readonly resource: AccessRequest['resource'];
  readonly fault?: WritError;
}

export interface RegisteredInstance {
  readonly workflow?: string;
  readonly scopes: readonly string[];
  /** Milliseconds. */
  readonly attestedUntil?: number;
  /** How many instances are above it. */
  readonly depth: number;
}

/** What the flows about join tokens use. */
export interface TokenParts {
  readonly reader: Reader;
  readonly authorize: Authorize;
  readonly commit: CommitBatch;
  readonly clock: Clock;
  readonly random: Random;
  readonly registered: Registered;
  /** What every token tells its bearer: where the server is, and how to know it. */
  readonly server: {
    /** `host:port`. */
    readonly address: string;
    /** SHA-256 of the root certificate's DER. */
    readonly rootFingerprint: Uint8Array;
  };
}

export const INSTALLATION: { readonly type: 'Installation'; readonly id: 'writ' } = {
  type: 'Installation',
  id: 'writ',
};
