import { type Cedar, type Finding, findingAt, type PolicyJson } from './cedar.ts';
import { DEEPEST, isTooLong, LONGEST_CHAIN, tooDeepAt } from './nesting.ts';

/** One rule of a policy set. */
export interface Rule {
  /** Of its `@id`: lower-case letters, digits, dots and dashes. */
  readonly id: string;
  /** Of its `@description`: one sentence. */
  readonly description: string;
  readonly effect: 'permit' | 'forbid';
  /** Of its `@needs_approval`: it holds only with the consent of so many of this group. */
  readonly needsApproval?: Approval;
  /** What is evaluated. */
  readonly text: string;
  /** What is analysed; its numbers are JavaScript's, which are shorter than Cedar's. */
  readonly json: PolicyJson;
}

interface Approval {
  readonly count: number;
  readonly group: string;
}

/** Rules by id, in the order of the text. */
export type Rules = ReadonlyMap<string, Rule>;

/** Largest policy set, in octets. With what surrounds it, it fits a ledger entry whole. */
export const LARGEST: number = 32 * 1024;

/**
 * Reads a policy set: parses it, takes the annotations that Writ gives a meaning, and validates it strictly against the
 * schema. Any finding, error or warning, means that it must not be published; `rules` are there only without one.
 *
 * `validatedAgainst`: the digest of the schema that this very text was validated against when it was published. Where
 * that is the schema of now, the validator (50 ms) is not asked again.
 */
export function readRules(
  cedar: Cedar,
  text: string,
  validatedAgainst?: string,
): { rules: Rules } | { findings: readonly Finding[] } {
  if (Buffer.byteLength(text, 'utf8') > LARGEST) {
    return { findings: [findingAt('error', `the policy set is larger than ${LARGEST} bytes`, text, 0)] };
  }
  // Cedar would read another character in its place, and evaluate another text than the one in the ledger.
  if (!text.isWellFormed()) {
    return { findings: [findingAt('error', 'the policy set is not Unicode text: it has half a character', text, 0)] };
  }
  const deep = tooDeepAt(text);
  if (deep !== undefined) {
    return { findings: [findingAt('error', `brackets stand more than ${DEEPEST} deep in one another`, text, deep)] };
  }
  const split = cedar.split(text);
  if ('findings' in split) return split;
  const findings: Finding[] = [];
  const rules = new Map<string, Rule>();
  const texts: Record<string, string> = {};
  for (const { text: own, json, at } of inOrder(split.policies, text)) {
    const rule = ruleOf(own, json, (message) => findings.push(findingAt('error', message, text, at)));
    if (rule === undefined) continue;
    if (isTooLong(json)) {
      const fault = `the rule ${rule.id} has more than ${LONGEST_CHAIN} operators in one another; a set may say it shorter`;
      findings.push(findingAt('error', fault, text, at));
    }
    if (rules.has(rule.id)) findings.push(findingAt('error', `the id ${rule.id} is used twice`, text, at));
    rules.set(rule.id, rule);
    texts[rule.id] = own;
  }
  const known = validatedAgainst === cedar.schemaDigest;
  if (findings.length === 0 && !known) findings.push(...cedar.validate(texts, text));
  return findings.length === 0 ? { rules } : { findings };
}

/** Cedar gives policies in the order of its own names for them (policy0, policy1, policy10 …); this is that of the text. */
function inOrder<P extends { readonly text: string }>(policies: readonly P[], text: string): (P & { at: number })[] {
  const named = policies.map((_, at) => `policy${at}`).sort();
  const ordered = policies.map((policy, at) => ({ policy, number: Number(named[at]!.slice(6)) }));
  ordered.sort((a, b) => a.number - b.number);
  let from = 0;
  return ordered.map(({ policy }) => {
    const at = text.indexOf(policy.text, from);
    from = at + policy.text.length;
    return { ...policy, at };
  });
}

const KNOWN = new Set(['id', 'description', 'needs_approval']);

function ruleOf(text: string, json: PolicyJson, fault: (message: string) => void): Rule | undefined {
  const annotations: Readonly<Record<string, string | null>> = json.annotations ?? {};
  const { id, description, needs_approval: approval } = annotations;
  for (const name of Object.keys(annotations)) {
    // A misspelt @needs_approval must not pass for a plain permit.
    if (!KNOWN.has(name))
      fault(`the annotation @${name} has no meaning here; there are @id, @description, @needs_approval`);
  }
  if (typeof id !== 'string' || !/^[a-z0-9][a-z0-9.-]{0,62}$/.test(id) || id.startsWith('guard.')) {
    fault('a rule needs an @id of lower-case letters, digits, dots and dashes that does not begin with guard.');
    return undefined;
  }
  if (typeof description !== 'string' || !/^\S[^\p{Cc}\p{Cf}]{0,254}$/u.test(description)) {
    fault(`the rule ${id} needs a @description: one sentence of at most 255 characters`);
    return undefined;
  }
  const rule = { id, description, effect: json.effect, text, json };
  if (approval === undefined) return rule;
  if (json.effect === 'forbid') fault(`the rule ${id} forbids: @needs_approval stands on a permit only`);
  const parsed = /^([1-9][0-9]?) of ([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)$/.exec(approval ?? '');
  if (parsed !== null) return { ...rule, needsApproval: { count: Number(parsed[1]), group: parsed[2]! } };
  fault(`the rule ${id} needs an approval that reads like "2 of ca-officers"`);
  return undefined;
}
