import type { Clock } from '../../base/clock.ts';
import { isWritError, WritError } from '../../base/error.ts';
import type { Log } from '../../base/log.ts';
import type { Random } from '../../base/random.ts';
import { openAuthority } from '../../ca/authority/open.ts';
import type { Authority } from '../../ca/authority.ts';
import { OpenShards } from '../../ca/crl/open-shards.ts';
import type { Hierarchy } from '../../ca/hierarchy.ts';
import { CERTIFICATES } from '../../ca/index/certificates.ts';
import type { CommitBatch } from '../../db/batch.ts';
import type { Reader } from '../../db/database.ts';
import { EpochCache } from '../../db/epoch-cache.ts';
import { PartitionMap } from '../../db/partition-map.ts';
import { CurrentAuthority } from '../../issuance/current-authority.ts';
import type { IssuanceParts } from '../../issuance/parts.ts';
import { identityOf, RefusalLog } from '../../issuance/refusals.ts';
import type { Keyring } from '../../keys/keyring.ts';
import type { EpochCell } from '../../ledger/epoch.ts';
import type { People } from '../../policy/administrator.ts';
import { createGuard } from '../../policy/guard.ts';
import { Policy } from '../../policy/policy.ts';
import { readActingPeople } from '../../registry/acting-people.ts';
import { readEmergencyAccess } from '../../registry/emergency.ts';
import { readGroupsOfOperators } from '../../registry/group.ts';
import { areOperatorsCutOff } from '../../revocation/cut-off.ts';
import { guardLimits } from './installation-limits.ts';

/** What one thread (or an administrator's command) is given to work with. */
export interface ThreadMeans {
  readonly reader: Reader;
  readonly commit: CommitBatch;
  readonly keyring: Keyring;
  readonly hierarchy: Pick<Hierarchy, 'trustDomain' | 'nameConstraints' | 'algorithm'>;
  /** Names and addresses under which clients reach this server. */
  readonly names: readonly string[];
  /** Where relying parties find what the plain listener serves: `http://ca.example.com:8480`. */
  readonly statusUrl: string;
  /** URLs that are told of approvals. Absent: none. */
  readonly webhooks?: readonly string[];
  /** The administrator acts here: what takes others is known. A server asks nobody about it. */
  readonly administrator?: boolean;
  /** Instances that one person may stop for ever alone. Absent: as the configuration has it by default. */
  readonly massStop?: number;
  /** Stops that one operator makes within a minute. Absent: likewise. */
  readonly stopsAMinute?: number;
  readonly epoch: EpochCell;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/** What every flow of this thread is built from. */
export interface ThreadParts extends ThreadMeans {
  readonly policy: Policy;
  readonly authority: CurrentAuthority;
  readonly certificates: PartitionMap;
  readonly refusals: RefusalLog;
  readonly issuance: IssuanceParts;
}

/** Instances whose standing one thread keeps in memory, about 1 kB each. */
const HOLDERS = 50_000;

export async function threadParts(means: ThreadMeans): Promise<ThreadParts> {
  const { reader, commit, keyring, hierarchy, names, epoch, clock, random, log } = means;
  const { trustDomain } = hierarchy;
  const guard = createGuard(guardLimits(hierarchy, names));
  const refusals = new RefusalLog(commit, clock, log);
  const certificates = new PartitionMap(reader, CERTIFICATES.name);
  const people = async (): Promise<People> => ({
    ...(await readActingPeople(reader, clock.now())),
    cutOff: await areOperatorsCutOff({ reader, certificates, clock }),
  });
  const policy = new Policy({
    ...{ reader, epoch, clock, guard, log },
    refused: recordRefused(refusals),
    groups: () => readGroupsOfOperators(reader),
    ...(means.administrator === true ? { people } : {}),
    emergencies: () => readEmergencyAccess(reader, clock.now()),
  });
  const open = (authority: Authority) =>
    openAuthority(reader, keyring, authority, trustDomain).catch((error: unknown) => {
      throw isWritError(error, 'conflict') ? behindPassphrase(error) : error;
    });
  const authority = new CurrentAuthority({ reader, epoch, open });
  const refresh = async (): Promise<void> => {
    await policy.fresh();
    await authority.refresh();
  };
  await refresh();
  const issuance: IssuanceParts = {
    trustDomain,
    reader,
    certificates,
    authority,
    shards: new OpenShards(means.statusUrl, random),
    authorize: policy.authorize,
    refresh,
    holders: new EpochCache(epoch, HOLDERS),
    commit,
    recordRefusal: refusals.record,
    clock,
    random,
  };
  return { ...means, policy, authority, certificates, refusals, issuance };
}

/** A server that cannot open what was sealed after a change of the passphrase; another replica may. */
function behindPassphrase(cause: unknown): WritError {
  return new WritError('unavailable', 'This server cannot open the key of the issuing authority.', {
    remedy: 'Whoever runs it must give it the present passphrase and start it again.',
    cause,
  });
}

/**
 * Puts refusals of policy on record. Flows that issue do so themselves, with what they know of the certificate; looking
 * at something that one may not look at is no event.
 */
function recordRefused(refusals: RefusalLog): NonNullable<ConstructorParameters<typeof Policy>[0]['refused']> {
  return ({ caller, action, resource }, { rules, needsApproval }) => {
    // It rests on an approval, or becomes a request for one: that has entries of its own.
    if (needsApproval !== undefined && caller.bound !== undefined) return;
    if (
      action === 'instance.enrol' ||
      action === 'workload.enrol' ||
      action.startsWith('certificate.') ||
      action.endsWith('.read')
    )
      return;
    void refusals.record({
      type: 'access.refused',
      by: identityOf(caller),
      code: needsApproval === undefined ? 'denied' : 'needs_approval',
      subjects: [],
      body: { action, resource: `${resource.type}:${resource.id}`, rules },
    });
  };
}
