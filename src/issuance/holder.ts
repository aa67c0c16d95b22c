import type { AccessRequest, Facts } from '../base/access.ts';
import type { WritError } from '../base/error.ts';
import type { SignedCertificate } from '../ca/certificate/sign.ts';
import type { CertificateKind } from '../ca/index/certificates.ts';
import type { Profile } from '../ca/profile/profile.ts';
import type { Batch } from '../db/batch.ts';
import type { KeyHolder } from '../registry/key-in-use.ts';
import type { Standing } from '../registry/standing.ts';
import type { SpiffeId } from '../spiffe-id/spiffe-id.ts';
import type { Module } from './module.ts';
import type { Context } from './narrow.ts';

/** Whom a certificate is for, as the registry knows it: what step 2 finds out and what step 6 looks at again. */
export interface Holder {
  readonly kind: CertificateKind;
  readonly name: string;
  /** Set when it is an instance. */
  readonly instance?: string;
  /** Set when it is an instance that exists. Which of its certificates is the newest may have changed since. */
  readonly standing?: Standing;
  readonly id: SpiffeId;
  readonly profile: Profile;
  /** Which version of the profile this is. */
  readonly profileVersion: number;
  /** Whose the key is to be, and nobody else's. */
  readonly keyHolder: KeyHolder;
  /** What policy is asked about, and what it is told beside the facts of the request. */
  readonly resource: AccessRequest['resource'];
  readonly facts: Facts;
  /** DNS names of its own, which go into its certificates unless others are asked for. */
  readonly dnsNames?: readonly string[];
  /** What the certificate may say at most. */
  readonly context: Context;
  /** Milliseconds: no certificate outlives this. */
  readonly until?: number;
  /** For the ledger: what this is about; and by what a caller without a certificate is known, e.g. `token:<id>`. */
  readonly subjects: readonly string[];
  readonly evidence?: string;
  /** Why nothing is issued to it, said only to whom policy would have given a certificate. */
  readonly fault?: WritError;
  /** The module that signs for each of its certificates; absent for all that were let in without one. */
  readonly module?: Module;
  /** True when it has certificates already, of which the newest is the one before. */
  readonly hasPrevious: boolean;
  /** Pushes what the commit looks at again, and the rows and events beside the certificate's own. */
  record(
    batch: Batch,
    issued: { readonly certificate: SignedCertificate; readonly context: Context; readonly now: number },
  ): void;
}
