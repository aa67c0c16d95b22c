import type { Caller } from '../base/access.ts';
import { type Cause, parseCause } from '../ca/revocation-cause.ts';
import { parseEvidence } from './evidence.ts';
import type { CordParts, Why } from './parts.ts';
import { type FoundTarget, findTarget, type StopTarget } from './stop-target.ts';

/** What somebody wants held or stopped. */
export interface StopRequest extends Why {
  readonly target: StopTarget;
}

/** The same as it was understood, and what it is about as of now. */
interface UnderstoodStop {
  readonly cause: Cause;
  readonly evidence: string | undefined;
  readonly found: FoundTarget;
}

/** Throws `bad_request` for a request that is none, and `not_found` for what is not there. Asks nobody for permission. */
export async function understandStop(caller: Caller, request: StopRequest, parts: CordParts): Promise<UnderstoodStop> {
  const cause = parseCause(request);
  const evidence = parseEvidence(request.evidence);
  await parts.refresh();
  return { cause, evidence, found: await findTarget(caller, request.target, parts) };
}
