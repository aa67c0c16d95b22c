import type { Authorize, Caller } from '../base/access.ts';
import type { Clock } from '../base/clock.ts';
import { demand } from '../base/demand.ts';
import { WritError } from '../base/error.ts';
import { type Batch, type CommitBatch, newBatch } from '../db/batch.ts';
import { committed } from '../db/committed.ts';
import type { Reader } from '../db/database.ts';
import type { Idempotency, Json } from '../http/idempotency.ts';
import { type Cedar, type Finding, findingAt } from './cedar.ts';
import { readRules } from './rules.ts';
import { digestOf, insertPolicySet, type PolicySet, readPolicySet } from './store.ts';
import { defaultPolicyText, schemaText } from './text-files.ts';

export interface PublishParts {
  readonly reader: Reader;
  readonly authorize: Authorize;
  readonly commit: CommitBatch;
  readonly clock: Clock;
  readonly cedar: Cedar;
  /** As `checkPolicy`, somewhere else than in this thread. */
  readonly check?: (text: string) => Promise<readonly Finding[]>;
}

export interface Publication {
  readonly text: string;
  /** Version that the author has seen in force; absent: whichever is. */
  readonly after?: number;
}

const INSTALLATION = { type: 'Installation', id: 'writ' } as const;

/** Everything that stands against publishing a text: errors and warnings alike. Empty when it may be published. */
export function checkPolicy(cedar: Cedar, text: string): readonly Finding[] {
  const read = readRules(cedar, text);
  if ('findings' in read) return read.findings;
  const permits = [...read.rules.values()].some(({ effect }) => effect === 'permit');
  return permits ? [] : [findingAt('warning', NOTHING_PERMITTED, text, 0)];
}

/** What is published is the whole set; whoever publishes one rule by itself meant to add it. */
const NOTHING_PERMITTED =
  'no rule permits anything, so everybody would be refused everything: publish the set in force with the new rules added';

/**
 * Puts a policy set in force. Throws `denied`, `needs_approval`, `bad_policy` with a line for each finding, and `conflict`
 * when another set than `after` is in force or another is published meanwhile. The text that is in force already is
 * answered with that set.
 */
export async function publishPolicy(
  caller: Caller,
  publication: Publication,
  parts: PublishParts,
  options: { readonly idempotency?: Idempotency | undefined; readonly dryRun?: boolean | undefined } = {},
): Promise<PolicySet> {
  demand(parts.authorize, { caller, action: 'policy.publish', resource: INSTALLATION });
  const first = await options.idempotency?.first();
  if (first?.kind === 'value') return first.value as unknown as PolicySet;

  const { text, after } = publication;
  const findings = parts.check === undefined ? checkPolicy(parts.cedar, text) : await parts.check(text);
  if (findings.length > 0) throw badPolicy(findings);
  const before = await readPolicySet(parts.reader);
  if (after !== undefined && after !== (before?.version ?? 0)) {
    throw new WritError('conflict', `Another policy set is in force: version ${before?.version ?? 0}.`, {
      field: '/after',
      remedy: 'Look at what is in force now and repeat.',
    });
  }
  if (before?.text === text && before.schemaDigest === parts.cedar.schemaDigest) return before;

  const set: PolicySet = {
    version: (before?.version ?? 0) + 1,
    digest: digestOf(text),
    text,
    schemaDigest: parts.cedar.schemaDigest,
    publishedAt: parts.clock.now(),
    publishedBy: caller.id,
  };
  const batch = newBatch();
  insertPolicySet(batch, set);
  options.idempotency?.keep(batch, { kind: 'value', value: set as unknown as Json });
  if (options.dryRun !== true) committed(await parts.commit(batch));
  return set;
}

/** Adds the default set as version 1, for a new installation. */
export function insertDefaultPolicy(batch: Batch, now: number): void {
  const text = defaultPolicyText();
  insertPolicySet(batch, {
    version: 1,
    digest: digestOf(text),
    text,
    // Both are parts of this release, and a test validates one against the other.
    schemaDigest: digestOf(schemaText()),
    publishedAt: now,
    publishedBy: 'system:init',
  });
}

/** The set in force. Throws `denied`, and `not_found` before the first was published. */
export async function showPolicy(
  caller: Caller,
  parts: Pick<PublishParts, 'reader' | 'authorize'>,
): Promise<PolicySet> {
  demand(parts.authorize, { caller, action: 'policy.read', resource: INSTALLATION });
  const set = await readPolicySet(parts.reader);
  if (set !== undefined) return set;
  throw new WritError('not_found', 'No policy set was ever published.', {
    remedy: 'Publish one: writ policy publish.',
  });
}

function badPolicy(findings: readonly Finding[]): WritError {
  const lines = findings.map(({ severity, message, line, column }) => `${line}:${column}: ${severity}: ${message}`);
  return new WritError('bad_policy', `The policy set has ${findings.length} errors or warnings.`, {
    field: '/text',
    remedy: 'Mend them; nothing was published.',
    reasons: lines.slice(0, 50),
  });
}
