import type { Action } from '../../base/access.ts';
import { type GuardRule, isInstance, text, texts } from './rule.ts';

const STOPS: ReadonlySet<Action> = new Set(['instance.stop', 'certificate.revoke', 'stop.quarantine']);

/** Kinds of targets that are more than an instance and those below it. */
const REACHES_BEYOND: ReadonlySet<string> = new Set(['agent', 'owner', 'label', 'authority']);

const REFUSED = 'An instance stops and revokes only itself and the instances that it let in.';

/** An instance stops itself and what it let in; never what is above it, beside it or elsewhere. */
export const downward: GuardRule = {
  id: 'guard.downward',
  refuse(request) {
    if (!isInstance(request)) return undefined;
    if (!STOPS.has(request.action)) return undefined;
    const own = request.caller.instance!;
    // A whole agent is beside it, also its own.
    if (REACHES_BEYOND.has(text(request, 'kind') ?? '')) return REFUSED;
    if (text(request, 'instance') === own || texts(request, 'lineage').includes(own)) return undefined;
    return REFUSED;
  },
};
