import { consentOf } from '../../approval/consent.ts';
import type { Caller } from '../../base/access.ts';
import { type Acting, actingFor } from '../../revocation/acting.ts';
import type { ThreadParts } from './thread-parts.ts';

/**
 * Gives a flow's parts with what it asks and commits with for this caller, at whom the commit looks again, and whose
 * approvals it honours.
 */
export function forCaller<P extends Acting>(
  parts: P,
  { reader, certificates, clock, random, webhooks = [] }: ThreadParts,
  looksAt: { readonly policy: boolean },
): (caller: Caller) => Promise<P> {
  const { authorize, commit } = parts;
  const consent = (caller: Caller) => consentOf(caller, { reader, certificates, clock, random, webhooks });
  return async (caller) => ({
    ...parts,
    ...(await actingFor(caller, { authorize, commit, certificates, consent, clock }, looksAt)),
  });
}
