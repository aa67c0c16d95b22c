import type { Authorize, Caller } from '../../base/access.ts';
import type { Clock } from '../../base/clock.ts';
import { demand } from '../../base/demand.ts';
import { WritError } from '../../base/error.ts';
import type { Reader } from '../../db/database.ts';
import type { Authority } from '../authority.ts';
import { readAuthorities, readHierarchy } from '../hierarchy.ts';
import { readProfiles } from '../profile/store.ts';
import { type Due, dueItems } from './due.ts';
import { issuingLifetime } from './issuing-lifetime.ts';

export interface AuthorityParts {
  readonly reader: Reader;
  readonly authorize: Authorize;
  readonly clock: Clock;
}

const INSTALLATION = { type: 'Installation', id: 'writ' } as const;

/** All authorities, the oldest first, and what a person has to do about them. */
export async function showAuthorities(
  caller: Caller,
  parts: AuthorityParts,
): Promise<{ readonly authorities: readonly Authority[]; readonly due: readonly Due[] }> {
  demand(parts.authorize, { caller, action: 'authority.read', resource: INSTALLATION });
  const hierarchy = await readHierarchy(parts.reader);
  if (hierarchy === undefined) return { authorities: [], due: [] };
  const profiles = (await readProfiles(parts.reader)).map(({ profile }) => profile);
  const due = dueItems(hierarchy, { now: parts.clock.now(), issuingLifetime: issuingLifetime(profiles) });
  return { authorities: hierarchy.authorities, due };
}

/** Throws `not_found`. */
export async function showAuthority(caller: Caller, id: string, parts: AuthorityParts): Promise<Authority> {
  demand(parts.authorize, { caller, action: 'authority.read', resource: INSTALLATION });
  const found = (await readAuthorities(parts.reader)).find((authority) => authority.id === id);
  if (found !== undefined) return found;
  throw new WritError('not_found', 'There is no authority by that id.', {
    field: '/id',
    remedy: 'List the authorities and choose one of them.',
  });
}

/**
 * Lets the issuing authority be succeeded now, and gives the one that signs from then on. `rotate` is `rotateIssuing`
 * where the keys are, which need not be this thread; it is told the id of the caller.
 */
export async function requestRotation(
  caller: Caller,
  parts: Pick<AuthorityParts, 'authorize'>,
  rotate: (caller: string) => Promise<Authority>,
): Promise<Authority> {
  demand(parts.authorize, { caller, action: 'authority.rotate', resource: INSTALLATION });
  return rotate(caller.id);
}
