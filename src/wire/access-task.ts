import * as z from 'zod';
import { type Schema, schemaOf } from './schema.ts';
import { id, time } from './text.ts';

const STATUSES = ['pending', 'approved', 'denied', 'expired', 'cancelled', 'failed', 'partial'] as const;

/** A task of the AuthZEN Access Request and Approval Profile; members and values are the profile's. */
export interface AccessTask {
  readonly id: string;
  readonly status: (typeof STATUSES)[number];
  readonly status_endpoint: string;
  readonly expires_at: string;
  /** While it can be cancelled. */
  readonly links?: { readonly cancel: string };
}

export interface AccessTaskAnswer {
  readonly task: AccessTask;
  /** When it was approved. By itself it permits nothing. */
  readonly result?: {
    readonly mode: 'reevaluate';
    readonly approval: { readonly id: string; readonly approved_until: string };
  };
}

const url = z.string().max(4096);

export const accessTask: Schema<AccessTaskAnswer> = schemaOf<AccessTaskAnswer>()(
  z.strictObject({
    task: z.strictObject({
      id,
      status: z.enum(STATUSES),
      status_endpoint: url,
      expires_at: time,
      links: z.strictObject({ cancel: url }).exactOptional(),
    }),
    result: z
      .strictObject({ mode: z.literal('reevaluate'), approval: z.strictObject({ id, approved_until: time }) })
      .exactOptional(),
  }),
);

/** Why a task is cancelled. Read, and not kept. */
export interface CancelAccessTask {
  readonly reason?: string;
  readonly comment?: string;
}

export const cancelAccessTask: Schema<CancelAccessTask> = schemaOf<CancelAccessTask>()(
  z.strictObject({ reason: z.string().max(255).exactOptional(), comment: z.string().max(2000).exactOptional() }),
);

interface Entity {
  readonly type: string;
  readonly id: string;
  readonly properties?: Readonly<Record<string, unknown>>;
}

/** An access request of that profile for one thing that was refused; its bulk form and callbacks are not taken. */
export interface AccessSubmission {
  /** Of the refusal, unchanged. */
  readonly subject: Entity;
  readonly resource: Entity;
  readonly action: { readonly name: string; readonly properties?: Readonly<Record<string, unknown>> };
  /** `business_justification`: why, for those who are asked. */
  readonly context?: Readonly<Record<string, unknown>>;
  readonly denial: {
    readonly evaluation_id?: string;
    readonly evaluated_at?: string;
    readonly expires_at: string;
    readonly reason?: string;
    readonly binding_token?: string;
    readonly template?: string;
  };
  readonly requested_access?: { readonly requested_until?: string; readonly emergency?: boolean };
  /** Read, and not kept. */
  readonly client?: Readonly<Record<string, unknown>>;
}

const free = z.record(z.string().max(255), z.unknown());
const short = z.string().max(2048);
const entity = z.strictObject({ type: short, id: short, properties: free.exactOptional() });

export const accessSubmission: Schema<AccessSubmission> = schemaOf<AccessSubmission>()(
  z.strictObject({
    subject: entity,
    resource: entity,
    action: z.strictObject({ name: short, properties: free.exactOptional() }),
    context: free.exactOptional(),
    denial: z.strictObject({
      evaluation_id: short.exactOptional(),
      evaluated_at: time.exactOptional(),
      expires_at: time,
      reason: short.exactOptional(),
      binding_token: z.string().max(131_072).exactOptional(),
      template: short.exactOptional(),
    }),
    requested_access: z
      .strictObject({ requested_until: time.exactOptional(), emergency: z.boolean().exactOptional() })
      .exactOptional(),
    client: free.exactOptional(),
  }),
);

/** What a person says to a task. The profile leaves deciding open; this is ours, in its manner. */
export interface DecideAccessTask {
  readonly decision: 'approved' | 'denied';
}

export const decideAccessTask: Schema<DecideAccessTask> = schemaOf<DecideAccessTask>()(
  z.strictObject({ decision: z.enum(['approved', 'denied']) }),
);

/** Metadata of the policy decision point (AuthZEN 1.0), as far as it is one. */
export interface AccessMetadata {
  readonly policy_decision_point: string;
  readonly access_request_endpoint: string;
  readonly capabilities: readonly string[];
}

export const accessMetadata: Schema<AccessMetadata> = schemaOf<AccessMetadata>()(
  z.strictObject({
    policy_decision_point: url,
    access_request_endpoint: url,
    capabilities: z.array(z.string().max(255)).max(16),
  }),
);
