import type { Action } from '../../base/access.ts';
import { type GuardRule, isInstance } from './rule.ts';

/** What an agent or service can ask for at all; how far is for the rules that follow. */
const OPEN: ReadonlySet<Action> = new Set([
  'agent.read',
  'token.create',
  'token.revoke',
  'token.read',
  'instance.stop',
  'certificate.issue',
  'certificate.renew',
  'certificate.replace',
  'certificate.revoke',
  'certificate.read',
  'profile.read',
  'authority.read',
  'stop.quarantine',
  'jwt.issue',
  'federation.read',
  'signal.read',
  'signal.manage',
  'canary.report',
  'entry.read',
  'workload.enrol',
]);

/** An agent never registers, never publishes, never widens: that is for people. */
export const operatorsOnly: GuardRule = {
  id: 'guard.operators-only',
  refuse(request) {
    if (!isInstance(request) || OPEN.has(request.action)) return undefined;
    return `Operators alone may do ${request.action}; an agent or service never may.`;
  },
};
