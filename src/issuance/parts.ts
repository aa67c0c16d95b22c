import type { Authorize } from '../base/access.ts';
import type { Clock } from '../base/clock.ts';
import type { Random } from '../base/random.ts';
import type { OpenShards } from '../ca/crl/open-shards.ts';
import type { Issuer } from '../ca/issuer.ts';
import type { StoredProfile } from '../ca/profile/store.ts';
import type { CommitBatch } from '../db/batch.ts';
import type { Reader } from '../db/database.ts';
import type { EpochCache } from '../db/epoch-cache.ts';
import type { PartitionMap } from '../db/partition-map.ts';
import type { TrustDomain } from '../spiffe-id/trust-domain.ts';
import type { Holder } from './holder.ts';
import type { RecordRefusal } from './refusals.ts';

/** What the flows of this folder use. One for each request thread. */
export interface IssuanceParts {
  readonly trustDomain: TrustDomain;
  readonly reader: Reader;
  /** Of the family `certificate`. */
  readonly certificates: PartitionMap;
  readonly authority: SigningAuthority;
  /** Which certificates go into which shard of the revocation lists. */
  readonly shards: OpenShards;
  readonly authorize: Authorize;
  /** Brings what the flow decides on up to what is committed: policy set, authorities. Waits for nothing when it is. */
  readonly refresh: () => Promise<void>;
  /** Instances with their agents, by instance id. */
  readonly holders: EpochCache<Holder>;
  readonly commit: CommitBatch;
  readonly recordRefusal: RecordRefusal;
  readonly clock: Clock;
  readonly random: Random;
}

/** The authorities and profiles, as this thread has them. */
export interface SigningAuthority {
  /** The one that signs now. Throws `expired` or `unavailable` when there is none. */
  issuer(): Issuer;
  /** The profile in force, and its version. */
  profile(name: string): StoredProfile | undefined;
  /** DER of what is sent after a leaf of the authority with this id: its own certificate first, without the root. */
  chain(issuer: string): readonly Uint8Array[];
}

/** What somebody may ask of a certificate beside the key. All of it is decided by profile, registry and policy. */
export interface Wish {
  /** Seconds. Default: the profile's. */
  readonly lifetime?: number | undefined;
  /** Host names in lower case. */
  readonly dnsNames?: readonly string[] | undefined;
  /** Addresses as text, e.g. `10.0.0.7`. */
  readonly ipAddresses?: readonly string[] | undefined;
  /** Fewer than the instance has; it has only these from here on. */
  readonly scopes?: readonly string[] | undefined;
}
