import * as z from 'zod';
import { type Schema, schemaOf } from './schema.ts';

/** Stops something for good. The cause determines the reason of RFC 5280; one of the two must be there. */
export interface Stop {
  readonly cause?: string;
  readonly reason?: string;
  readonly evidence?: string;
}

/** The folder that stops things knows which causes and reasons there are. */
export const stop: Schema<Stop> = schemaOf<Stop>()(
  z.strictObject({
    cause: z.string().min(1).max(64).describe('Why, e.g. key_theft or decommissioned.').exactOptional(),
    reason: z
      .string()
      .min(1)
      .max(64)
      .describe('CRLReason of RFC 5280 in place of a cause, e.g. keyCompromise.')
      .exactOptional(),
    evidence: z.string().min(1).max(1024).describe('Link to what it rests on. Stands in the ledger.').exactOptional(),
  }),
);
