import type { GuardRule } from './rule.ts';

/** A caller is what its certificate says it is, whole; without one it may ask to be let in and nothing else. */
export const identified: GuardRule = {
  id: 'guard.identified',
  refuse({ caller, action }) {
    switch (caller.kind) {
      case 'anonymous':
        return action === 'instance.enrol' ? undefined : 'A caller without a certificate may do nothing but enrol.';
      case 'operator':
        if (caller.operator !== undefined && caller.instance === undefined && caller.agent === undefined) break;
        return 'The caller’s certificate names no operator.';
      case 'agent':
      case 'service':
        if (caller.agent !== undefined && caller.instance !== undefined && caller.operator === undefined) break;
        return 'The caller’s certificate names no instance.';
      case 'system':
        return undefined;
      default:
        return 'The caller is of no known kind.';
    }
    return action === 'instance.enrol' ? 'Whoever has a certificate renews it and does not enrol.' : undefined;
  },
};
