import { CERTIFIES, type GuardRule } from './rule.ts';

/** Nothing comes into being for an agent that is stopped or that nobody answers for. */
export const active: GuardRule = {
  id: 'guard.active',
  refuse({ action, resource }) {
    if (action !== 'token.create' && action !== 'jwt.issue' && !CERTIFIES.includes(action)) return undefined;
    if (resource.type !== 'Agent' && resource.type !== 'Service') return undefined;
    const status = resource.facts?.['status'];
    if (status === 'active') return undefined;
    return status === 'orphaned'
      ? 'The team that owns the agent is gone; another has to take it over.'
      : 'The agent is quarantined or retired.';
  },
};
