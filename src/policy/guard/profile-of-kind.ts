import type { AccessRequest } from '../../base/access.ts';
import { CERTIFIES, type GuardRule, text } from './rule.ts';

/** Profiles that are for one kind of holder alone. */
const RESERVED: ReadonlySet<string> = new Set(['operator', 'server', 'responder', 'root', 'intermediate', 'issuing']);

/** A certificate is what its holder is: no agent gets an operator's, and nobody an authority's. */
export const profileOfKind: GuardRule = {
  id: 'guard.profile-of-kind',
  refuse(request) {
    const profile = profileOf(request);
    if (profile === undefined) return undefined;
    switch (request.resource.type) {
      case 'Operator':
        return profile === 'operator' ? undefined : 'An operator’s certificate follows the profile operator.';
      case 'Installation':
        if (request.caller.kind === 'system' && (profile === 'server' || profile === 'responder')) return undefined;
        return 'Certificates of the authority’s own servers are made by the authority alone.';
      default:
        return RESERVED.has(profile) ? 'The profile is not for agents and services.' : undefined;
    }
  },
};

function profileOf(request: AccessRequest): string | undefined {
  const { action, resource } = request;
  if (action === 'agent.register') return resource.facts?.['profile'] as string | undefined;
  return action === 'agent.update' || CERTIFIES.includes(action) ? text(request, 'profile') : undefined;
}
