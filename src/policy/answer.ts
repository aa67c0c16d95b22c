import type { AccessRequest, Verdict } from '../base/access.ts';
import { administratorVerdict, isAboutSuccessor, isAdministrators, type RulesInForce } from './administrator.ts';
import type { Guard } from './guard.ts';

/**
 * The two layers, one after the other: the guard refuses or is silent, then the rules decide. Writ itself and the
 * administrator on its machine (`system`) are bound by the guard alone, so that a set which locks everybody out can be
 * replaced; what the administrator loosens takes others as well once there are any (`administrator.ts`).
 */
export function answer(request: AccessRequest, guard: Guard, rules: RulesInForce): Verdict {
  const policyVersion = rules.version;
  const against = guard(request);
  if (against !== undefined) {
    return { allowed: false, rules: [against.rule], reasons: [against.sentence], policyVersion };
  }
  if (isAdministrators(request)) return administratorVerdict(request, rules);
  if (request.caller.kind === 'system') return { allowed: true, rules: ['system'], policyVersion };
  const verdict = rules.decide(request);
  if (!verdict.allowed && isAboutSuccessor(request))
    return { allowed: true, rules: ['policy.successor'], policyVersion };
  return request.action === 'emergency.begin' ? atLeastTwo(verdict) : verdict;
}

/** Emergency access is granted by two at least, also where a rule would have it for less. */
function atLeastTwo(verdict: Verdict): Verdict {
  const { needsApproval } = verdict.allowed ? { needsApproval: { count: 1, group: 'ca-officers' } } : verdict;
  if (needsApproval === undefined || needsApproval.count >= 2) return verdict;
  const { rules, policyVersion } = verdict;
  const wanted = { ...needsApproval, count: 2 };
  const reasons = [`Emergency access needs the consent of 2 of ${wanted.group}, whatever the rule says.`];
  return { allowed: false, needsApproval: wanted, rules, reasons, policyVersion };
}
