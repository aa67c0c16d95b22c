import { newId } from '../base/id.ts';
import type { Batch } from '../db/batch.ts';
import { type Approval, consents, resourceText } from './approval.ts';
import type { ApprovalParts } from './parts.ts';

/** What happened, as a receiver tells it apart. */
export type Happening = 'requested' | 'decided' | 'granted' | 'denied' | 'withdrawn' | 'expired' | 'used';

/**
 * Has the webhooks told, by the very commit that it happens in. The message names who, what and until when; parameters
 * and reason are for whoever looks with a certificate. `approval` is as it stands after.
 */
export function pushNotices(
  batch: Batch,
  happening: Happening,
  approval: Approval,
  { webhooks, clock, random }: Pick<ApprovalParts, 'webhooks' | 'clock' | 'random'>,
): void {
  const now = clock.now();
  for (const url of webhooks) {
    const id = newId(now, random);
    const body = JSON.stringify({
      type: `approval.${happening}`,
      timestamp: new Date(now).toISOString(),
      data: {
        approval: approval.id,
        requester: approval.requester,
        action: approval.action,
        resource: resourceText(approval.resource),
        needed: approval.needed,
        group: approval.group,
        agreed: consents(approval).length,
        status: approval.status,
        expires_at: new Date(approval.expiresAt).toISOString(),
      },
    });
    batch.writes.push({
      sql:
        'INSERT INTO webhook_delivery (id, approval, url, body, state, attempts, next_at, last_error, created_at) ' +
        "VALUES (?, ?, ?, ?, 'waiting', 0, ?, '', ?)",
      params: [id, approval.id, url, body, now, now],
    });
  }
}
