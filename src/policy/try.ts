import type { AccessRequest, Verdict } from '../base/access.ts';
import { answer } from './answer.ts';
import type { Cedar, Finding } from './cedar.ts';
import { Decider } from './decide.ts';
import { explain } from './explain.ts';
import type { Guard } from './guard.ts';
import { readRules } from './rules.ts';

/** A request that somebody wants to know the answer to, perhaps with the answer that they expect. */
export interface PolicyCase {
  readonly name: string;
  readonly request: AccessRequest;
  readonly expect?: 'allow' | 'deny' | 'approval';
  /** When it is asked, in milliseconds; default: now. */
  readonly at?: number;
}

export interface CaseResult {
  readonly name: string;
  readonly verdict: Verdict;
  readonly sentences: readonly string[];
  /** Whether it is as expected; true where nothing was. */
  readonly asExpected: boolean;
}

/**
 * What a policy set would say to requests, the guard included, without publishing it: for trying a new set, and for
 * asking again under it what was asked before. Gives the findings instead when the set could not be published.
 */
export function testPolicy(
  set: { readonly text: string; readonly cedar: Cedar; readonly guard: Guard; readonly now: number },
  cases: readonly PolicyCase[],
): { results: CaseResult[] } | { findings: readonly Finding[] } {
  const read = readRules(set.cedar, set.text);
  if ('findings' in read) return read;
  const decider = new Decider(set.cedar, { version: 0, rules: read.rules }, 0);
  try {
    const results = cases.map(({ name, request, expect, at = set.now }): CaseResult => {
      const decide = (asked: AccessRequest): Verdict => decider.decide(asked, at).verdict;
      const verdict = answer(request, set.guard, { version: decider.version, decide });
      const { sentences } = explain(request, verdict, read.rules);
      return { name, verdict, sentences, asExpected: expect === undefined || expect === outcomeOf(verdict) };
    });
    return { results };
  } finally {
    decider.drop();
  }
}

function outcomeOf(verdict: Verdict): 'allow' | 'deny' | 'approval' {
  if (verdict.allowed) return 'allow';
  return verdict.needsApproval === undefined ? 'deny' : 'approval';
}
