import * as z from 'zod';
import { type Schema, schemaOf } from './schema.ts';
import { sha256, time } from './text.ts';

/** The longest policy set, in characters. */
export const LONGEST_POLICIES = 32_768;

const policies: Schema<string> = z.string().min(1).max(LONGEST_POLICIES).describe('Cedar.');

/** The policy set in force. */
export interface PolicySet {
  readonly version: number;
  readonly digest: string;
  readonly policies: string;
  readonly published_at: string;
}

export const policySet: Schema<PolicySet> = schemaOf<PolicySet>()(
  z.strictObject({ version: z.int().min(0), digest: sha256, policies, published_at: time }),
);

export interface CheckPolicies {
  readonly policies: string;
}

export const checkPolicies: Schema<CheckPolicies> = schemaOf<CheckPolicies>()(z.strictObject({ policies }));

/** Publishes a set in place of the one with `version`, which the author looked at. */
export interface PublishPolicies extends CheckPolicies {
  readonly version: number;
}

export const publishPolicies: Schema<PublishPolicies> = schemaOf<PublishPolicies>()(
  z.strictObject({ policies, version: z.int().min(0) }),
);

export interface Finding {
  readonly severity: 'error' | 'warning';
  readonly message: string;
  /** `@id` of the rule, where it is about one. */
  readonly policy?: string;
  /** From 1. */
  readonly line?: number;
  readonly column?: number;
}

/** Empty lists: the set could be published. */
export interface PolicyFindings {
  readonly errors: readonly Finding[];
  readonly warnings: readonly Finding[];
}

const finding = z.strictObject({
  severity: z.enum(['error', 'warning']),
  message: z.string().max(4000),
  policy: z.string().max(255).exactOptional(),
  line: z.int().min(1).exactOptional(),
  column: z.int().min(1).exactOptional(),
});

export const policyFindings: Schema<PolicyFindings> = schemaOf<PolicyFindings>()(
  z.strictObject({ errors: z.array(finding).max(1000), warnings: z.array(finding).max(1000) }),
);
