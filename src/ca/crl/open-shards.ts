import { newId } from '../../base/id.ts';
import type { Random } from '../../base/random.ts';
import type { Batch } from '../../db/batch.ts';
import { encodeNoRevAvail, NO_REV_AVAIL } from '../../x509/extensions/no-rev-avail.ts';
import { type LeafTemplate, leafTemplate } from '../../x509/leaf-template.ts';
import type { Issuer } from '../issuer.ts';
import type { Profile } from '../profile/profile.ts';
import { leafPointers } from '../status-url.ts';
import { insertShard, type Shard } from './shard.ts';

/** What a leaf says about where its status is found, within all that it shares with others. */
export interface LeafStatus {
  readonly template: LeafTemplate;
  /** Absent for what nothing is published about. */
  readonly shard?: OpenShard;
}

interface OpenShard extends Shard {
  /** Certificates that name it so far. */
  count: number;
  /** Whether its row is known to be committed. */
  recorded: boolean;
}

/** Certificates that name one shard. Their list has 200 kB when all of them are revoked. */
const SIZE = 5000;
/** Milliseconds after which another one is begun all the same, so that a list is over soon after its certificates. */
const AGE = 24 * 3600 * 1000;

/**
 * The shards that one thread assigns certificates to, one at a time for each issuer, without asking anybody: an id is
 * random, and its row comes with the first certificate that names it. What the leaves of one shard share is encoded once.
 */
export class OpenShards {
  readonly #base: string;
  readonly #random: Random;
  readonly #revocable = new Map<string, Required<LeafStatus>>();
  readonly #ephemeral = new Map<string, LeafStatus>();

  /** `base`: see `STATUS_PATHS`. */
  constructor(base: string, random: Random) {
    this.#base = base;
    this.#random = random;
  }

  /** Counts one certificate. `now` in milliseconds. */
  next(issuer: Issuer, mode: Profile['revocation'], now: number): LeafStatus {
    if (mode === 'ephemeral') return this.#nothing(issuer);
    let open = this.#revocable.get(issuer.id);
    if (open === undefined || open.shard.count >= SIZE || Math.abs(now - open.shard.createdAt) > AGE) {
      open = this.#open(issuer, now);
      forgetOldest(this.#revocable);
      this.#revocable.set(issuer.id, open);
    }
    open.shard.count++;
    return open;
  }

  /** Pushes the row of the shard, unless a commit has brought it. */
  push(batch: Batch, { shard }: LeafStatus): void {
    if (shard !== undefined && !shard.recorded) insertShard(batch, shard);
  }

  /** A batch with the row was committed. */
  recorded({ shard }: LeafStatus): void {
    if (shard !== undefined) shard.recorded = true;
  }

  #open(issuer: Issuer, now: number): Required<LeafStatus> {
    const id = newId(now, this.#random);
    const template = leafTemplate({
      algorithm: issuer.algorithm,
      issuer: issuer.name,
      extensions: [...issuer.leafExtensions, ...leafPointers(this.#base, issuer.id, id)],
    });
    return { template, shard: { id, issuer: issuer.id, createdAt: now, count: 0, recorded: false } };
  }

  #nothing(issuer: Issuer): LeafStatus {
    let status = this.#ephemeral.get(issuer.id);
    if (status === undefined) {
      const extensions = [
        ...issuer.leafExtensions,
        ...leafPointers(this.#base, issuer.id, undefined),
        { oid: NO_REV_AVAIL, critical: false, value: encodeNoRevAvail() },
      ];
      status = { template: leafTemplate({ algorithm: issuer.algorithm, issuer: issuer.name, extensions }) };
      forgetOldest(this.#ephemeral);
      this.#ephemeral.set(issuer.id, status);
    }
    return status;
  }
}

/** Issuers succeed each other: two at a time are in use. */
function forgetOldest(map: Map<string, unknown>): void {
  if (map.size >= 4) map.delete(map.keys().next().value!);
}
