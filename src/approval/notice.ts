import { newId } from '../base/id.ts';
import type { Batch } from '../db/batch.ts';
import { type Approval, consents, recoveryMember, resourceText } from './approval.ts';
import type { ApprovalParts } from './parts.ts';

type NoticeParts = Pick<ApprovalParts, 'webhooks' | 'clock' | 'random'>;

/** What happened, as a receiver tells it apart. */
export type Happening = 'requested' | 'decided' | 'granted' | 'denied' | 'withdrawn' | 'expired' | 'used';

/**
 * Has the webhooks told, by the very commit that it happens in. The message names who, what and until when; parameters
 * and reason are for whoever looks with a certificate. `approval` is as it stands after.
 */
export function pushNotices(batch: Batch, happening: Happening, approval: Approval, parts: NoticeParts): void {
  const data = {
    approval: approval.id,
    requester: approval.requester,
    action: approval.action,
    resource: resourceText(approval.resource),
    needed: approval.needed,
    group: approval.group,
    agreed: consents(approval).length,
    status: approval.status,
    expires_at: new Date(approval.expiresAt).toISOString(),
    ...recoveryMember(approval),
  };
  pushNotice(batch, { type: `approval.${happening}`, approval: approval.id, data }, parts);
}

/** One message to each of the webhooks. */
export function pushNotice(
  batch: Batch,
  { type, approval, data }: { readonly type: string; readonly approval: string; readonly data: object },
  { webhooks, clock, random }: NoticeParts,
): void {
  const now = clock.now();
  for (const url of webhooks) {
    const id = newId(now, random);
    const body = JSON.stringify({ type, timestamp: new Date(now).toISOString(), data });
    batch.writes.push({
      sql:
        'INSERT INTO webhook_delivery (id, approval, url, body, state, attempts, next_at, last_error, created_at) ' +
        "VALUES (?, ?, ?, ?, 'waiting', 0, ?, '', ?)",
      params: [id, approval, url, body, now, now],
    });
  }
}
