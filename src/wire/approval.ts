import * as z from 'zod';
import { ACTIONS, type Action } from '../base/access.ts';
import { PAGE_MEMBERS, type Page, type PageQuery, pageOf } from './page.ts';
import { type Schema, schemaOf } from './schema.ts';
import { id, name, sha256, time } from './text.ts';

const STATUSES = ['pending', 'granted', 'denied', 'expired', 'withdrawn', 'used'] as const;

type Status = (typeof STATUSES)[number];

/** What one person said, and as which operator. */
interface ApprovalDecision {
  readonly person: string;
  readonly operator: string;
  readonly decision: 'approved' | 'denied';
  readonly decided_at: string;
}

/** A request for the consent of several people to one exact act. */
export interface Approval {
  readonly id: string;
  readonly status: Status;
  readonly requester: string;
  /** Who that is, where it is an operator. */
  readonly requester_person?: string;
  /** What is to be done, and to what. */
  readonly action: Action;
  readonly resource_type: string;
  readonly resource_id: string;
  /** The request that would be allowed, whole: canonical JSON (RFC 8785) of route and parameters. */
  readonly parameters: string;
  /** SHA-256 of salt and parameters, as the ledger has it. */
  readonly parameters_sha256: string;
  readonly salt: string;
  /** What policy was told of the resource and the request when it was asked, as JSON. */
  readonly facts: string;
  readonly reason: string;
  /** So many of this group, says this rule. */
  readonly rule: string;
  readonly needed: number;
  readonly group: string;
  /** People who have agreed. */
  readonly agreed: number;
  readonly decisions: readonly ApprovalDecision[];
  readonly policy_version: number;
  readonly created_at: string;
  readonly expires_at: string;
  readonly ended_at?: string;
  /** When it takes effect without consent unless an operator denies it: people come back by it whose operators are lost. */
  readonly recovers_at?: string;
}

export const approval: Schema<Approval> = schemaOf<Approval>()(
  z.strictObject({
    id,
    status: z.enum(STATUSES),
    requester: z.string().max(2048),
    requester_person: name.exactOptional(),
    action: z.enum(ACTIONS),
    resource_type: z.string().max(32),
    resource_id: z.string().max(2048),
    parameters: z.string().max(262_144),
    parameters_sha256: sha256,
    salt: z.string().regex(/^[0-9a-f]{32}$/),
    facts: z.string().max(262_144),
    reason: z.string().max(512),
    rule: z.string().max(64),
    needed: z.int().min(1).max(99),
    group: name,
    agreed: z.int().min(0).max(1000),
    decisions: z
      .array(
        z.strictObject({
          person: name,
          operator: name,
          decision: z.enum(['approved', 'denied']),
          decided_at: time,
        }),
      )
      .max(1000),
    policy_version: z.int().min(0),
    created_at: time,
    expires_at: time,
    ended_at: time.exactOptional(),
    recovers_at: time.exactOptional(),
  }),
);

export const approvalPage: Schema<Page<Approval>> = pageOf(approval);

export interface ApprovalQuery extends PageQuery {
  readonly status?: Status;
}

export const approvalQuery: Schema<ApprovalQuery> = schemaOf<ApprovalQuery>()(
  z.strictObject({ status: z.enum(STATUSES).exactOptional(), ...PAGE_MEMBERS }),
);

/** A message to a webhook, and what became of it. */
export interface WebhookDelivery {
  readonly id: string;
  readonly approval: string;
  readonly url: string;
  /** `dead`: given up. */
  readonly state: 'waiting' | 'delivered' | 'dead';
  readonly attempts: number;
  /** Of the last attempt, where it failed. */
  readonly last_error?: string;
  readonly created_at: string;
  /** Not before then, where it is waiting. */
  readonly next_at?: string;
}

const STATES = ['waiting', 'delivered', 'dead'] as const;

export const webhookDelivery: Schema<WebhookDelivery> = schemaOf<WebhookDelivery>()(
  z.strictObject({
    id,
    approval: id,
    url: z.string().max(4096),
    state: z.enum(STATES),
    attempts: z.int().min(0).max(1000),
    last_error: z.string().max(200).exactOptional(),
    created_at: time,
    next_at: time.exactOptional(),
  }),
);

export const webhookDeliveryPage: Schema<Page<WebhookDelivery>> = pageOf(webhookDelivery);

export interface DeliveryQuery extends PageQuery {
  readonly state?: WebhookDelivery['state'];
}

export const deliveryQuery: Schema<DeliveryQuery> = schemaOf<DeliveryQuery>()(
  z.strictObject({ state: z.enum(STATES).exactOptional(), ...PAGE_MEMBERS }),
);
