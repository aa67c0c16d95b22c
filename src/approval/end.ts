import type { Caller } from '../base/access.ts';
import { WritError } from '../base/error.ts';
import { newBatch } from '../db/batch.ts';
import { committed } from '../db/committed.ts';
import { type Approval, isOpen } from './approval.ts';
import { ended, find } from './decide.ts';
import { pushNotices } from './notice.ts';
import type { ApprovalParts } from './parts.ts';
import { subjectsOf } from './request.ts';
import { pushStatus, readLapsed } from './store.ts';

type EndParts = Omit<ApprovalParts, 'authorize'>;

/**
 * The requester takes a request back, granted or not. Repeating it is answered. Throws `not_found` for everybody else, and
 * `conflict` for what has ended otherwise.
 */
export async function withdrawApproval(caller: Caller, id: string, parts: EndParts): Promise<Approval> {
  const now = parts.clock.now();
  const approval = await find(parts.reader, id, now);
  if (approval.requester !== caller.id) {
    throw new WritError('denied', 'Who asked for an approval alone can withdraw it.', {
      remedy: 'To keep it from being used, deny it.',
    });
  }
  if (approval.status === 'withdrawn') return approval;
  if (!isOpen(approval)) throw ended(approval);
  const after: Approval = { ...approval, status: 'withdrawn', version: approval.version + 1, endedAt: now };
  const batch = newBatch();
  pushStatus(batch, approval, 'withdrawn', now);
  batch.events.push({
    type: 'approval.withdrawn',
    subjects: subjectsOf(approval),
    body: { caller: caller.id, approval: id },
  });
  pushNotices(batch, 'withdrawn', after, parts);
  committed(await parts.commit(batch));
  return after;
}

/** Approvals that are recorded as expired in one go. */
const STEP = 50;

/** Records what is past its time, which ended by itself then. Gives how many; beside another that does the same no harm. */
export async function expireApprovals(parts: EndParts): Promise<number> {
  const now = parts.clock.now();
  let count = 0;
  for (const approval of await readLapsed(parts.reader, now, STEP)) {
    const batch = newBatch();
    pushStatus(batch, approval, 'expired', approval.expiresAt);
    batch.events.push({ type: 'approval.expired', subjects: subjectsOf(approval), body: { approval: approval.id } });
    pushNotices(batch, 'expired', approval, parts);
    // It comes unasked: a backup that lacks nothing else is no loss (`replay.ts`).
    batch.anchored = true;
    if ((await parts.commit(batch)).committed) count++;
  }
  return count;
}
