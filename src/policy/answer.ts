import type { AccessRequest, Verdict } from '../base/access.ts';
import type { Guard } from './guard.ts';

/**
 * The two layers, one after the other: the guard refuses or is silent, then the rules decide. Writ itself and the
 * administrator on its machine (`system`) are bound by the guard alone, so that a set which locks everybody out can be
 * replaced.
 */
export function answer(
  request: AccessRequest,
  guard: Guard,
  rules: { readonly version: number; decide(request: AccessRequest): Verdict },
): Verdict {
  const policyVersion = rules.version;
  const against = guard(request);
  if (against !== undefined) {
    return { allowed: false, rules: [against.rule], reasons: [against.sentence], policyVersion };
  }
  if (request.caller.kind === 'system') return { allowed: true, rules: ['system'], policyVersion };
  return rules.decide(request);
}
