import { type Approval, consents } from '../approval/approval.ts';
import type { Delivery, DeliveryState } from '../approval/delivery-store.ts';
import type { ApprovalFilter } from '../approval/store.ts';
import type { Caller } from '../base/access.ts';
import type { Page, PageRequest } from '../db/cursor.ts';
import type * as wire from '../wire/approval.ts';
import { approval, approvalPage, approvalQuery, deliveryQuery, webhookDeliveryPage } from '../wire/approval.ts';
import { byId } from '../wire/path.ts';
import { type Operation, operation } from './operation.ts';
import { given, givenTime, hexText, pageAnswer, timeText } from './render.ts';

/** What the routes under `/v1/approvals` need. How one is asked for is a matter of every route: `bound-request.ts`. */
export interface Approvals {
  list(caller: Caller, filter: ApprovalFilter, page: PageRequest): Promise<Page<Approval>>;
  show(caller: Caller, id: string): Promise<Approval>;
  decide(caller: Caller, target: { readonly id: string; readonly decision: 'approved' | 'denied' }): Promise<Approval>;
  withdraw(caller: Caller, id: string): Promise<Approval>;
  /** What webhooks were told. */
  deliveries(caller: Caller, filter: { readonly state?: DeliveryState }, page: PageRequest): Promise<Page<Delivery>>;
}

export function approvalOperations(approvals: Approvals): Operation[] {
  const decide = (verb: 'approve' | 'deny', decision: 'approved' | 'denied', summary: string): Operation =>
    operation({
      id: `${verb}Approval`,
      method: 'POST',
      path: `/v1/approvals/{id}/${verb}`,
      access: 'caller',
      action: 'approval.decide',
      summary,
      params: byId,
      answer: approval,
      example: { answer: EXAMPLE },
      handle: async ({ caller, params: { id } }) => approvalAnswer(await approvals.decide(caller, { id, decision })),
    });
  return [
    operation({
      id: 'listApprovals',
      method: 'GET',
      path: '/v1/approvals',
      access: 'caller',
      action: 'approval.read',
      summary: 'Requests for approval, the newest first. Agents and services see their own.',
      query: approvalQuery,
      answer: approvalPage,
      example: { answer: { items: [EXAMPLE] } },
      async handle({ caller, query: { status, ...page } }) {
        return pageAnswer(await approvals.list(caller, given('status', status), page), approvalAnswer);
      },
    }),
    operation({
      id: 'getApproval',
      method: 'GET',
      path: '/v1/approvals/{id}',
      access: 'caller',
      action: 'approval.read',
      summary: 'One request for approval, with all that it would allow.',
      params: byId,
      answer: approval,
      example: { answer: EXAMPLE },
      handle: async ({ caller, params: { id } }) => approvalAnswer(await approvals.show(caller, id)),
    }),
    decide('approve', 'approved', 'Agrees to exactly what the approval shows. Never for who asked for it.'),
    decide('deny', 'denied', 'Disagrees, which ends the approval, also one that was granted and not used yet.'),
    operation({
      id: 'withdrawApproval',
      method: 'POST',
      path: '/v1/approvals/{id}/withdraw',
      access: 'caller',
      summary: 'Takes a request for approval back. For who asked alone.',
      params: byId,
      answer: approval,
      example: { answer: EXAMPLE },
      handle: async ({ caller, params: { id } }) => approvalAnswer(await approvals.withdraw(caller, id)),
    }),
    operation({
      id: 'listWebhookDeliveries',
      method: 'GET',
      path: '/v1/webhook-deliveries',
      access: 'caller',
      action: 'approval.read',
      summary: 'Messages to webhooks, the newest first; those given up are dead.',
      query: deliveryQuery,
      answer: webhookDeliveryPage,
      example: { answer: { items: [EXAMPLE_DELIVERY] } },
      async handle({ caller, query: { state, ...page } }) {
        return pageAnswer(await approvals.deliveries(caller, given('state', state), page), deliveryAnswer);
      },
    }),
  ];
}

function approvalAnswer(one: Approval): wire.Approval {
  return {
    id: one.id,
    status: one.status,
    requester: one.requester,
    ...given('requester_person', one.requesterPerson === '' ? undefined : one.requesterPerson),
    action: one.action,
    resource_type: one.resource.type,
    resource_id: one.resource.id,
    parameters: one.parameters,
    parameters_sha256: hexText(one.digest),
    salt: hexText(one.salt),
    facts: JSON.stringify(one.facts),
    reason: one.reason,
    rule: one.rule,
    needed: one.needed,
    group: one.group,
    agreed: consents(one).length,
    decisions: one.decisions.map(({ person, operator, decision, at }) => ({
      person,
      operator,
      decision,
      decided_at: timeText(at),
    })),
    policy_version: one.policyVersion,
    created_at: timeText(one.createdAt),
    expires_at: timeText(one.expiresAt),
    ...givenTime('ended_at', one.endedAt),
    ...givenTime('recovers_at', one.recoversAt),
  };
}

function deliveryAnswer(one: Delivery): wire.WebhookDelivery {
  return {
    id: one.id,
    approval: one.approval,
    url: one.url,
    state: one.state,
    attempts: one.attempts,
    ...given('last_error', one.lastError === '' ? undefined : one.lastError),
    created_at: timeText(one.createdAt),
    ...givenTime('next_at', one.state === 'waiting' ? one.nextAt : undefined),
  };
}

const EXAMPLE_DELIVERY: wire.WebhookDelivery = {
  id: '01kaj8x5y7zq4m2n6p8r0t2v4w',
  approval: '01kaj8x5y7zq4m2n6p8r0t2v4w',
  url: 'https://hooks.example.com/writ',
  state: 'dead',
  attempts: 12,
  last_error: 'status 500',
  created_at: '2026-11-22T14:03:22.000Z',
};

const EXAMPLE: wire.Approval = {
  id: '01kaj8x5y7zq4m2n6p8r0t2v4w',
  status: 'pending',
  requester: 'spiffe://agents.example.com/operator/ada',
  requester_person: 'ada',
  action: 'owner.restore',
  resource_type: 'Owner',
  resource_id: 'payments',
  parameters: '{"body":{},"method":"POST","params":{"team":"payments"},"path":"/v1/owners/{team}/restore","query":{}}',
  parameters_sha256: '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08',
  salt: '6b1f0c2e9a7d45388c21f0e3b4a59617',
  facts: '{"resource":{},"context":{}}',
  reason: 'They are back from the reorganisation.',
  rule: 'officers-run-the-authority',
  needed: 2,
  group: 'ca-officers',
  agreed: 1,
  decisions: [{ person: 'grace', operator: 'grace', decision: 'approved', decided_at: '2026-11-22T14:05:10.000Z' }],
  policy_version: 1,
  created_at: '2026-11-22T14:03:22.000Z',
  expires_at: '2026-11-22T15:03:22.000Z',
};
