import type { Authorize, Caller } from '../../base/access.ts';
import type { Clock } from '../../base/clock.ts';
import { demand } from '../../base/demand.ts';
import { WritError } from '../../base/error.ts';
import { type CommitBatch, newBatch } from '../../db/batch.ts';
import { committed } from '../../db/committed.ts';
import type { Reader } from '../../db/database.ts';
import type { Idempotency, Json } from '../../http/idempotency.ts';
import { decodeNameConstraints } from '../../x509/extensions/name-constraints.ts';
import { readHierarchy } from '../hierarchy.ts';
import { parseProfile } from './profile.ts';
import { addProfile, readProfile, readProfiles, requireWithin, type StoredProfile } from './store.ts';

export interface ProfileParts {
  readonly reader: Reader;
  readonly authorize: Authorize;
  readonly commit: CommitBatch;
  readonly clock: Clock;
}

export interface PublishOptions {
  readonly idempotency?: Idempotency | undefined;
  /** Do everything but the commit, and answer what the change would give. */
  readonly dryRun?: boolean | undefined;
}

/**
 * Publishes a profile, given as JSON, in place of the one by its name, if there is one: from the commit on nothing is
 * issued under that. Throws `bad_request` for a profile that is malformed or allows names that no authority can vouch
 * for, `denied`, `needs_approval`, and `conflict` when somebody else published it meanwhile.
 */
export async function publishProfile(
  caller: Caller,
  value: unknown,
  parts: ProfileParts,
  options: PublishOptions = {},
): Promise<StoredProfile> {
  const profile = parseProfile(value);
  demand(parts.authorize, { caller, action: 'profile.publish', resource: { type: 'Profile', id: profile.name } });
  const first = await options.idempotency?.first();
  if (first?.kind === 'value') return first.value as unknown as StoredProfile;

  const hierarchy = await readHierarchy(parts.reader);
  if (hierarchy !== undefined) requireWithin(profile, decodeNameConstraints(hierarchy.nameConstraints));
  const before = await readProfile(parts.reader, profile.name);
  const now = parts.clock.now();
  const after: StoredProfile = { profile, version: (before?.version ?? 0) + 1, updatedAt: now };
  const batch = newBatch();
  addProfile(batch, profile, before, { now, caller: caller.id });
  options.idempotency?.keep(batch, { kind: 'value', value: after as unknown as Json });
  if (options.dryRun !== true) committed(await parts.commit(batch));
  return after;
}

/** All profiles in the order of their names. */
export async function showProfiles(caller: Caller, parts: ProfileParts): Promise<StoredProfile[]> {
  demand(parts.authorize, { caller, action: 'profile.read', resource: { type: 'Installation', id: 'writ' } });
  return readProfiles(parts.reader);
}

/** Throws `not_found`. */
export async function showProfile(caller: Caller, name: string, parts: ProfileParts): Promise<StoredProfile> {
  demand(parts.authorize, { caller, action: 'profile.read', resource: { type: 'Installation', id: 'writ' } });
  const found = await readProfile(parts.reader, name);
  if (found !== undefined) return found;
  throw new WritError('not_found', 'There is no profile by that name.', {
    field: '/name',
    remedy: 'List the profiles and choose one of them.',
  });
}
