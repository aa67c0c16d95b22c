import type { Random } from '../../base/random.ts';
import type { Batch } from '../../db/batch.ts';
import { addKey, type Keyring } from '../../keys/keyring.ts';
import type { Act } from '../act.ts';
import { AUTHORITY_KEY, type Authority, activeOf, chainOf } from '../authority.ts';
import type { Hierarchy } from '../hierarchy.ts';
import type { Issuer } from '../issuer.ts';
import { LIFETIMES } from '../lifetime.ts';
import type { Profile } from '../profile/profile.ts';
import { issuingLifetime } from './issuing-lifetime.ts';
import { pushAuthorityList } from './list.ts';
import { type MadeAuthority, makeAuthority, requireValidPath } from './make.ts';
import { addAuthority, addSuccessor, inState, noActive, noNext } from './store.ts';

interface MakeParts extends Act {
  readonly keyring: Keyring;
  readonly random: Random;
  /** Where the lists of authorities are served. */
  readonly statusUrl?: string;
}

/**
 * Pushes the next intermediate, signed by the root: active at once, since relying parties get it with each leaf. The
 * one before signs its list until it expires. With it goes its own first list.
 */
export async function addIntermediate(
  batch: Batch,
  hierarchy: Hierarchy,
  root: Issuer,
  parts: MakeParts,
): Promise<Authority> {
  const made = await makeAuthority(hierarchy, {
    kind: 'intermediate',
    state: 'active',
    above: root,
    lifetime: LIFETIMES.intermediate,
    ...madeBy(parts),
  });
  requireValidPath(made.authority, hierarchy.authorities, parts.now);
  addSuccessor(batch, activeOf(hierarchy.authorities, 'intermediate'), made.authority, parts);
  keep(batch, made, parts);
  await pushAuthorityList(batch, hierarchy, made.issuer, parts);
  return made.authority;
}

/**
 * Pushes the next issuing authority under the active intermediate. Refused when another process made one, also when
 * that one has taken over already.
 */
export async function addNextIssuing(
  batch: Batch,
  hierarchy: Hierarchy,
  intermediate: Issuer,
  { profiles, ...parts }: MakeParts & { readonly profiles: readonly Profile[] },
): Promise<Authority> {
  const made = await makeAuthority(hierarchy, {
    kind: 'issuing',
    state: 'next',
    above: intermediate,
    lifetime: issuingLifetime(profiles),
    ...madeBy(parts),
  });
  requireValidPath(made.authority, hierarchy.authorities, parts.now);
  const above = chainOf(hierarchy.authorities, intermediate.id)[0];
  if (above !== undefined) batch.checks.push(inState(above, 'active'));
  const active = activeOf(hierarchy.authorities, 'issuing');
  batch.checks.push(noNext('issuing'), active === undefined ? noActive('issuing') : inState(active, 'active'));
  addAuthority(batch, made.authority, parts);
  keep(batch, made, parts);
  return made.authority;
}

function madeBy({ now, random, statusUrl }: MakeParts): Pick<MakeParts, 'now' | 'random' | 'statusUrl'> {
  return { now, random, ...(statusUrl === undefined ? {} : { statusUrl }) };
}

function keep(batch: Batch, { authority, key }: MadeAuthority, { keyring, now, random }: MakeParts): void {
  addKey(batch, keyring, { id: authority.id, purpose: AUTHORITY_KEY, key, now, random });
}
