import type { AccessRequest, Authorize, Verdict } from './access.ts';
import { WritError } from './error.ts';

type Allowed = Extract<Verdict, { allowed: true }>;
type Refused = Extract<Verdict, { allowed: false }>;

/** Asks, and gives the verdict when it allows. Throws `denied` or `needs_approval` with the reasons otherwise. */
export function demand(authorize: Authorize, request: AccessRequest): Allowed {
  const verdict = authorize(request);
  if (verdict.allowed) return verdict;
  throw refusal(request, verdict);
}

/** A refusal as the error that its caller is told. */
export function refusal(request: AccessRequest, verdict: Refused): WritError {
  const { needsApproval, reasons } = verdict;
  if (needsApproval === undefined) {
    return new WritError('denied', `Not allowed: ${request.action}.`, {
      remedy: 'The reasons say what refused. Ask whoever publishes the policy set.',
      reasons,
    });
  }
  const { count, group } = needsApproval;
  return new WritError('needs_approval', `${request.action} needs ${count} of ${group} to agree.`, {
    remedy:
      'Ask for it: send the same request with Writ-Request-Approval: reason=… (command line: --request-approval ' +
      'REASON).',
    reasons,
    approval: { needed: count, group },
  });
}
