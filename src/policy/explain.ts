import type { AccessRequest, Verdict } from '../base/access.ts';
import type { Rules } from './rules.ts';

/** A verdict and how it came about, in sentences for a person. */
export interface Explanation {
  readonly verdict: Verdict;
  readonly sentences: readonly string[];
}

export function explain(request: AccessRequest, verdict: Verdict, rules: Rules): Explanation {
  const { caller, action, resource } = request;
  const asked = `${caller.id} asks for ${action} on ${resource.type} ${resource.id}.`;
  const set = `The policy set in force is version ${verdict.policyVersion}.`;
  if (verdict.allowed) {
    const permits =
      caller.kind === 'system'
        ? ['Writ itself and the administrator on its machine are bound by the guard alone.']
        : verdict.rules.map((id) => `The rule ${id} permits it: ${rules.get(id)?.description ?? ''}`);
    return { verdict, sentences: [asked, set, 'The guard has nothing against it.', ...permits, 'Allowed.'] };
  }
  const refuses = verdict.rules.map((id) => {
    if (id.startsWith('guard.')) return `The rule ${id} refuses it, and no policy set can change that.`;
    const forbids = rules.get(id)?.effect === 'forbid';
    return forbids ? `The rule ${id} forbids it.` : `The rule ${id} permits it with an approval.`;
  });
  const end = verdict.needsApproval === undefined ? 'Refused.' : 'Refused until it is approved.';
  return { verdict, sentences: [asked, set, ...refuses, ...verdict.reasons, end] };
}
