import { WritError } from '../../base/error.ts';
import { dueItems } from '../../ca/authority/due.ts';
import { issuingLifetime } from '../../ca/authority/issuing-lifetime.ts';
import { activeOf } from '../../ca/authority.ts';
import { type Hierarchy, readHierarchy } from '../../ca/hierarchy.ts';
import { readProfiles } from '../../ca/profile/store.ts';
import type { Reader } from '../../db/database.ts';

/**
 * Makes sure that there is an authority to issue with, once everything was done that needs no person. Throws `expired`,
 * or `unavailable` before the first, with the command that helps.
 */
export async function requireIssuer(reader: Reader, now: number): Promise<void> {
  const hierarchy = (await readHierarchy(reader)) as Hierarchy;
  const active = activeOf(hierarchy.authorities, 'issuing');
  if (active !== undefined && active.certificate.notAfter > now) return;
  const profiles = (await readProfiles(reader)).map(({ profile }) => profile);
  const due = dueItems(hierarchy, { now, issuingLifetime: issuingLifetime(profiles) });
  const item = due.find(({ overdue, what }) => overdue && what !== 'root-crl');
  const code = active === undefined ? 'unavailable' : 'expired';
  throw new WritError(code, item?.message ?? 'There is no authority to issue with.', {
    remedy: item === undefined ? 'See "writ ca due".' : `Run "${item.command}" and start again.`,
  });
}
