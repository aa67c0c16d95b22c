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
