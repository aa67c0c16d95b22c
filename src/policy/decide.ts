import type { AccessRequest, Action, Verdict } from '../base/access.ts';
import { Memo } from '../base/memo.ts';
import type { Cedar, LoadedRules } from './cedar.ts';
import { type Reads, readsOf, rulesFor } from './reads.ts';
import { cedarCall, principalOf, requestKey } from './request.ts';
import type { Rule, Rules } from './rules.ts';

/** What a policy set says to a request. */
export interface Ruling {
  readonly verdict: Verdict;
  /** Set when evaluating failed, and the verdict is a refusal for that. */
  readonly failure?: string;
}

/** Answers that are remembered at most, in each thread. */
const REMEMBERED = 16_384;

/** What concerns one action of callers of one type. */
interface ForCallers {
  readonly rules: readonly Rule[];
  /** Undefined where nothing may be remembered, because a rule reads the time. */
  readonly reads: Reads | undefined;
}

/**
 * A policy set that is ready to decide, with the memory of what it decided. The memory is part of it and goes with it,
 * so that it cannot outlive a change of the rules; facts are part of its keys, so that it cannot outlive a change of them.
 */
export class Decider {
  readonly version: number;
  readonly rules: Rules;
  readonly #loaded: LoadedRules;
  readonly #memo: Memo<Ruling>;
  readonly #remembers: boolean;
  readonly #parts = new Map<string, ForCallers>();

  /** `remembered`: 0 turns the memory off. */
  constructor(cedar: Cedar, set: { readonly version: number; readonly rules: Rules }, remembered: number = REMEMBERED) {
    this.version = set.version;
    this.rules = set.rules;
    this.#loaded = cedar.load(Object.fromEntries([...set.rules].map(([id, { text }]) => [id, text])));
    this.#memo = new Memo(remembered);
    this.#remembers = remembered > 0;
  }

  /** `now` in milliseconds. The request has passed the guard. */
  decide(request: AccessRequest, now: number): Ruling {
    const { rules, reads } = this.#for(request);
    if (reads === undefined) return this.#evaluate(request, rules, now);
    const key = requestKey(request, reads);
    const known = this.#memo.get(key);
    if (known !== undefined) return known;
    const ruling = this.#evaluate(request, rules, now);
    if (ruling.failure === undefined) this.#memo.set(key, ruling);
    return ruling;
  }

  /** Frees what it holds of Cedar; it cannot decide afterwards. */
  drop(): void {
    this.#loaded.drop();
  }

  #for(request: AccessRequest): ForCallers {
    const { type } = principalOf(request).uid;
    const name = `${request.action} ${type}`;
    let found = this.#parts.get(name);
    if (found === undefined) {
      const rules = rulesFor(this.rules.values(), request.action, type);
      const reads = readsOf(rules);
      const { attributes } = reads.context;
      const volatile = attributes === 'all' || attributes.has('now');
      found = { rules, reads: volatile || !this.#remembers ? undefined : reads };
      this.#parts.set(name, found);
    }
    return found;
  }

  #evaluate(request: AccessRequest, rules: readonly Rule[], now: number): Ruling {
    const answer = this.#loaded.decide(cedarCall(request, now));
    const policyVersion = this.version;
    if (!answer.decided) return this.#failed(answer.errors.join('; '));
    // In the order of the text, whichever way Cedar gave them.
    const by = rules.filter(({ id }) => answer.by.includes(id));
    if (by.length !== answer.by.length || (answer.allow && by.length === 0)) {
      return this.#failed('a rule decided about a request that its scope does not name');
    }
    const ids = by.map(({ id }) => id);
    if (!answer.allow) {
      return { verdict: { allowed: false, rules: ids, reasons: reasonsOf(request.action, by, rules), policyVersion } };
    }
    const plain = by.filter(({ needsApproval }) => needsApproval === undefined).map(({ id }) => id);
    return { verdict: plain.length > 0 ? { allowed: true, rules: plain, policyVersion } : this.#needsApproval(by) };
  }

  /** Any of these rules would do; the one that asks for the fewest people is what the caller is told. */
  #needsApproval(by: readonly Rule[]): Verdict {
    const least = by.reduce((a, b) => (b.needsApproval!.count < a.needsApproval!.count ? b : a));
    const { count, group } = least.needsApproval!;
    return {
      allowed: false,
      needsApproval: { count, group },
      rules: [least.id],
      reasons: [least.description, `It needs the consent of ${count} of ${group}.`],
      policyVersion: this.version,
    };
  }

  #failed(failure: string): Ruling {
    const reasons = ['The policy set could not be evaluated for this request, so it is refused.'];
    return { verdict: { allowed: false, rules: [], reasons, policyVersion: this.version }, failure };
  }
}

/** Why it is refused: the sentences of the rules that forbid it; where none does, those that permit it to others. */
function reasonsOf(action: Action, forbids: readonly Rule[], rules: readonly Rule[]): string[] {
  if (forbids.length > 0) return forbids.map(({ description }) => description);
  const permits = rules.filter(({ effect }) => effect === 'permit').slice(0, 5);
  return [
    `No rule permits ${action} here.`,
    ...permits.map(({ id, description }) => `What the rule ${id} permits: ${description}`),
  ];
}
