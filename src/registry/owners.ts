import type { Caller } from '../base/access.ts';
import { demand } from '../base/demand.ts';
import { WritError } from '../base/error.ts';
import { newBatch } from '../db/batch.ts';
import { committed } from '../db/committed.ts';
import type { Page, PageRequest } from '../db/cursor.ts';
import type { Json } from '../http/idempotency.ts';
import { type ChangeOptions, INSTALLATION, type RegistryParts } from './flow.ts';
import { listOwners, type Owner, readOwner, setOwnerStatus } from './owner.ts';
import { countStop } from './stop-rate.ts';

/**
 * Says that a team is gone, or is back. While it is gone nothing is issued for its agents and no agent can be
 * registered under it; an agent is helped by another team that takes it over. Saying what is so already answers with it.
 * Throws `denied`, `needs_approval`, `not_found`, `conflict`, and `rate_limited` where it is one stop too many.
 */
export async function changeOwner(
  caller: Caller,
  target: { readonly team: string; readonly status: Owner['status'] },
  parts: RegistryParts,
  options: ChangeOptions = {},
): Promise<Owner> {
  const { team, status } = target;
  const action = status === 'gone' ? 'owner.remove' : 'owner.restore';
  demand(parts.authorize, { caller, action, resource: { type: 'Owner', id: team, facts: { team } } });
  const first = await options.idempotency?.first();
  if (first?.kind === 'value') return first.value as unknown as Owner;

  const before = await readOwner(parts.reader, team);
  if (before === undefined) {
    throw new WritError('not_found', 'There is no team by that name.', {
      field: '/team',
      remedy: 'A team is known from its first agent on; list the owners and choose one.',
    });
  }
  if (before.status === status) return before;

  const now = parts.clock.now();
  const after: Owner = { ...before, status, updatedAt: now };
  const batch = newBatch();
  if (status === 'gone') countStop(batch, caller, now, parts.stopsAMinute);
  setOwnerStatus(batch, team, status, now);
  batch.events.push({
    type: 'owner.updated',
    subjects: [`owner:${team}`],
    body: { caller: caller.id, team, status },
  });
  options.idempotency?.keep(batch, { kind: 'value', value: after as unknown as Json });
  if (options.dryRun !== true) committed(await parts.commit(batch));
  return after;
}

export async function showOwners(caller: Caller, request: PageRequest, parts: RegistryParts): Promise<Page<Owner>> {
  demand(parts.authorize, { caller, action: 'owner.read', resource: INSTALLATION });
  return listOwners(parts.reader, request);
}
