import type { AccessRequest } from '../../base/access.ts';
import { type GuardRule, isInstance, text } from './rule.ts';

/** An instance gets certificates for itself alone, reads of its own agent alone, and touches its own tokens alone. */
export const ownAffairs: GuardRule = {
  id: 'guard.own-affairs',
  refuse(request) {
    if (!isInstance(request)) return undefined;
    switch (request.action) {
      case 'certificate.issue':
      case 'certificate.renew':
      case 'certificate.replace':
        if (ofOwnAgent(request) && text(request, 'instance') === request.caller.instance) return undefined;
        return 'An instance gets certificates for itself and for nobody else.';
      case 'agent.read':
      case 'certificate.read':
        return ofOwnAgent(request) ? undefined : 'An instance reads of its own agent and of no other.';
      case 'canary.report':
        return ofOwnAgent(request) ? undefined : 'An instance reports what canaries of its own agent found.';
      case 'entry.read':
        if (ofOwnAgent(request) && request.context?.['own'] === true) return undefined;
        return 'An instance reads the registration entries for its own service and no others.';
      case 'token.revoke':
      case 'token.read':
        return request.context?.['own'] === true ? undefined : 'An instance sees and revokes only tokens it made.';
      default:
        return undefined;
    }
  },
};

function ofOwnAgent({ caller, resource }: AccessRequest): boolean {
  return resource.type === (caller.kind === 'agent' ? 'Agent' : 'Service') && resource.id === caller.agent;
}
