import type { Caller } from '../base/access.ts';
import { demand } from '../base/demand.ts';
import { WritError } from '../base/error.ts';
import type { Page, PageRequest } from '../db/cursor.ts';
import { type Approval, successorFact } from './approval.ts';
import { find } from './decide.ts';
import { type ApprovalParts, INSTALLATION } from './parts.ts';
import { type ApprovalFilter, listApprovals } from './store.ts';

type ShowParts = Pick<ApprovalParts, 'reader' | 'authorize' | 'clock'>;

/** One approval with all that it would allow. Who asked for it may always look. Throws `not_found`, `denied`. */
export async function showApproval(caller: Caller, id: string, parts: ShowParts): Promise<Approval> {
  const approval = await find(parts.reader, id, parts.clock.now());
  if (approval.requester === caller.id) return approval;
  // An agent learns nothing of what others ask for.
  if (caller.kind !== 'operator' && caller.kind !== 'system') {
    throw new WritError('not_found', 'There is no approval by that id.', {
      field: '/id',
      remedy: 'Name one of your own.',
    });
  }
  const context = successorFact(approval);
  demand(parts.authorize, { caller, action: 'approval.read', resource: INSTALLATION, context });
  return approval;
}

/** The newest first; agents and services see their own. */
export async function showApprovals(
  caller: Caller,
  filter: ApprovalFilter,
  page: PageRequest,
  parts: ShowParts,
): Promise<Page<Approval>> {
  const own = caller.kind === 'agent' || caller.kind === 'service';
  if (!own) demand(parts.authorize, { caller, action: 'approval.read', resource: INSTALLATION });
  return listApprovals(parts.reader, own ? { ...filter, requester: caller.id } : filter, page, parts.clock.now());
}
