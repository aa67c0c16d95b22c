import type { Approval, ApprovalStatus } from '../approval/approval.ts';
import type { AccessTask, AccessTaskAnswer } from '../wire/access-task.ts';

/** The canonical statuses (Task Status Values). What was used was approved; its result says that the time is over. */
const STATUS: Readonly<Record<ApprovalStatus, AccessTask['status']>> = {
  pending: 'pending',
  granted: 'approved',
  used: 'approved',
  denied: 'denied',
  expired: 'expired',
  withdrawn: 'cancelled',
};

/**
 * An approval as a task of the AuthZEN Access Request and Approval Profile (draft-mcguinness-authzen-access-request, May
 * 2026). `base` is where the endpoints are: `https://host:port`. Completion is by re-evaluation alone: the very request
 * is made again and decided under the policy of then.
 */
export function taskOf(approval: Approval, base: string): AccessTaskAnswer {
  const { id, status, expiresAt, endedAt } = approval;
  const endpoint = `${base}/access/v1/requests/${id}`;
  const open = status === 'pending' || status === 'granted';
  const until = new Date(status === 'used' ? (endedAt ?? expiresAt) : expiresAt).toISOString();
  return {
    task: {
      id,
      status: STATUS[status],
      status_endpoint: endpoint,
      expires_at: new Date(expiresAt).toISOString(),
      ...(open ? { links: { cancel: `${endpoint}/cancel` } } : {}),
    },
    ...(STATUS[status] === 'approved'
      ? { result: { mode: 'reevaluate', approval: { id, approved_until: until } } }
      : {}),
  };
}
