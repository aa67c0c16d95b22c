import { DEEPEST } from './narrower.ts';
import { type GuardRule, isInstance, number, text, texts } from './rule.ts';

/**
 * A node lets in by the entries that people made for its own service, what these ask for, with what these give; and gets
 * further certificates for what it let in itself.
 */
export const byEntry: GuardRule = {
  id: 'guard.by-entry',
  refuse(request) {
    if (request.action !== 'workload.enrol' || !isInstance(request)) return undefined;
    const { caller, context } = request;
    if (caller.kind !== 'service') return 'Nodes are instances of a service.';
    if (text(request, 'entryNode') !== caller.agent) {
      return 'A node lets in by the registration entries for its own service alone.';
    }
    if (context?.['entryMatches'] !== true) return 'What the node saw is not what the registration entry asks for.';
    const entryScopes = texts(request, 'entryScopes');
    if (texts(request, 'scopes').some((scope) => !entryScopes.includes(scope))) {
      return 'A workload has no scopes that its registration entry does not give.';
    }
    if (context['renewal'] === true) {
      if (text(request, 'parent') === caller.instance && caller.instance !== undefined) return undefined;
      return 'A node gets certificates for what it let in itself.';
    }
    if (number(request, 'callerDepth')! >= DEEPEST) return `There are ${DEEPEST} generations of instances already.`;
    return undefined;
  },
};
