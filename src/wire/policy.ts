import * as z from 'zod';
import { type Schema, schemaOf } from './schema.ts';
import { sha256, time } from './text.ts';

/** Octets and characters alike: whoever reads the set knows the exact bound. */
const text: Schema<string> = z
  .string()
  .min(1)
  .max(32_768)
  .refine((given) => given.isWellFormed(), 'Give Unicode text: a surrogate stands without its other half.')
  .describe('Cedar.');

/** The policy set in force. */
export interface PolicySet {
  /** From 1, one more with each publication. */
  readonly version: number;
  /** SHA-256 of the text. */
  readonly digest: string;
  readonly text: string;
  readonly published_at: string;
  readonly published_by: string;
}

export const policySet: Schema<PolicySet> = schemaOf<PolicySet>()(
  z.strictObject({
    version: z.int().min(1),
    digest: sha256,
    text,
    published_at: time,
    published_by: z.string().max(2048),
  }),
);

export interface CheckPolicies {
  readonly text: string;
}

export const checkPolicies: Schema<CheckPolicies> = schemaOf<CheckPolicies>()(z.strictObject({ text }));

/** Puts a set in force. `after`: the version that its author has seen in force; absent: whichever is. */
export interface PublishPolicies extends CheckPolicies {
  readonly after?: number;
}

export const publishPolicies: Schema<PublishPolicies> = schemaOf<PublishPolicies>()(
  z.strictObject({ text, after: z.int().min(0).exactOptional() }),
);

interface Finding {
  readonly severity: 'error' | 'warning';
  readonly message: string;
  /** Of the text's characters, from 1. */
  readonly line: number;
  readonly column: number;
}

/** Empty lists: the set could be published. */
export interface PolicyFindings {
  readonly errors: readonly Finding[];
  readonly warnings: readonly Finding[];
}

const finding = z.strictObject({
  severity: z.enum(['error', 'warning']),
  message: z.string().max(4000),
  line: z.int().min(0),
  column: z.int().min(0),
});

export const policyFindings: Schema<PolicyFindings> = schemaOf<PolicyFindings>()(
  z.strictObject({ errors: z.array(finding).max(1000), warnings: z.array(finding).max(1000) }),
);
