import * as z from 'zod';
import { ERROR_CODES, type ErrorCode, type WantedApproval } from '../base/error.ts';
import { type Schema, schemaOf } from './schema.ts';
import { id, name, time } from './text.ts';

/** A problem document (RFC 9457): what every error is. */
export interface Problem {
  /** `urn:writ:error:<code>`, or what a protocol has for it. */
  readonly type: string;
  /** What the code means, always the same for it. */
  readonly title: string;
  readonly status: number;
  readonly code: ErrorCode;
  /** What is wrong this time. For people; may change. */
  readonly detail: string;
  /** JSON pointer into the body, `?query`, `{path}` or name of a header. */
  readonly field?: string;
  readonly remedy?: string;
  readonly reasons?: readonly string[];
  /** With `needs_approval`: whose consent, and the request for it where there is one. */
  readonly approval?: WantedApproval;
  /** With `needs_approval`, where `Prefer: access-request` was sent: the requestable denial of AuthZEN. */
  readonly decision?: false;
  readonly context?: Readonly<Record<string, unknown>>;
  readonly subject?: { readonly type: string; readonly id: string };
  readonly resource?: { readonly type: string; readonly id: string };
  readonly action?: { readonly name: string };
  readonly request_id: string;
}

const entity = z.strictObject({ type: z.string().max(255), id: z.string().max(2048) });

export const problem: Schema<Problem> = schemaOf<Problem>()(
  z.strictObject({
    type: z.string().max(100),
    title: z.string().max(300),
    status: z.int().min(400).max(599),
    code: z.enum(Object.keys(ERROR_CODES) as ErrorCode[]),
    detail: z.string().max(4000),
    field: z.string().max(1000).exactOptional(),
    remedy: z.string().max(4000).exactOptional(),
    reasons: z.array(z.string().max(4000)).max(100).exactOptional(),
    approval: z
      .strictObject({
        needed: z.int().min(1).max(99),
        group: name,
        id: id.exactOptional(),
        expires_at: time.exactOptional(),
      })
      .exactOptional(),
    decision: z.literal(false).exactOptional(),
    context: z.record(z.string().max(255), z.unknown()).exactOptional(),
    subject: entity.exactOptional(),
    resource: entity.exactOptional(),
    action: z.strictObject({ name: z.string().max(255) }).exactOptional(),
    request_id: z.string().max(100),
  }),
);

/** The media type of a problem document. */
export const PROBLEM_TYPE = 'application/problem+json';
