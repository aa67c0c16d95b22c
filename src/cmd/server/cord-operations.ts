import { STOPS_A_MINUTE } from '../../registry/stop-rate.ts';
import type { Operation } from '../../rest/operation.ts';
import { stopOperations } from '../../rest/stops.ts';
import { confirmStop } from '../../revocation/confirm-stop.ts';
import { MASS_STOP } from '../../revocation/mass.ts';
import type { CordParts } from '../../revocation/parts.ts';
import { quarantine } from '../../revocation/quarantine.ts';
import { releaseStop } from '../../revocation/release.ts';
import { showStop, showStops } from '../../revocation/show-stops.ts';
import { stopForEver } from '../../revocation/stop.ts';
import { wouldFall } from '../../revocation/would-fall.ts';
import { forCaller } from './for-caller.ts';
import type { ThreadParts } from './thread-parts.ts';

/** The cord: quarantine, stop, confirm, release. */
export function cordOperations(parts: ThreadParts): Operation[] {
  const cord = cordParts(parts);
  const stopping = forCaller(cord, parts, { policy: false });
  const loosening = forCaller(cord, parts, { policy: true });
  return stopOperations({
    stop: async (caller, request, options) => stopForEver(caller, request, await stopping(caller), options),
    quarantine: async (caller, request, options) => quarantine(caller, request, await stopping(caller), options),
    wouldFall: (caller, request) => wouldFall(caller, request, cord),
    confirm: async (caller, id, options) => confirmStop(caller, id, await stopping(caller), options),
    release: async (caller, id, options) => releaseStop(caller, id, await loosening(caller), options),
    show: (caller, id) => showStop(caller, id, cord),
    list: (caller, filter, page) => showStops(caller, filter, page, cord),
    now: parts.clock.now,
  });
}

/** What the flows of the cord use. */
export function cordParts({
  reader,
  commit,
  clock,
  random,
  certificates,
  policy,
  massStop = MASS_STOP,
  stopsAMinute = STOPS_A_MINUTE,
}: ThreadParts): CordParts {
  const { authorize } = policy;
  const refresh = (): Promise<void> => policy.fresh();
  return { reader, commit, clock, random, certificates, authorize, refresh, massStop, stopsAMinute };
}
