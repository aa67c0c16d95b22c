import { canaryAnswer } from '../../report/canary-store.ts';
import { recordCanary, removeCanary } from '../../report/record-canary.ts';
import { showCanaries } from '../../report/show-canaries.ts';
import { canaryOperations as routes } from '../../rest/canaries.ts';
import type { Operation } from '../../rest/operation.ts';
import { forCaller } from './for-caller.ts';
import type { ThreadParts } from './thread-parts.ts';

/** Canaries: what they found, and how each enforcement point fares. */
export function canaryOperations(parts: ThreadParts): Operation[] {
  const { reader, commit, clock, log, policy } = parts;
  const canaries = { reader, commit, clock, log, authorize: policy.authorize };
  const acting = forCaller(canaries, parts, { policy: true });
  return routes({
    list: (caller, filter, page) => showCanaries(caller, filter, page, canaries),
    record: async (caller, report, options) =>
      canaryAnswer(await recordCanary(caller, report, await acting(caller), options), clock.now()),
    remove: async (caller, target, options) => removeCanary(caller, target, await acting(caller), options),
  });
}
