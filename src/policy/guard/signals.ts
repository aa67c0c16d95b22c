import type { GuardRule } from './rule.ts';

/** An automated signal holds, which people can lift again; it does nothing else. */
export const signals: GuardRule = {
  id: 'guard.signals-quarantine',
  refuse({ caller, action }) {
    if (caller.kind !== 'system' || caller.id !== 'system:signal' || action === 'stop.quarantine') return undefined;
    return 'An automated signal quarantines, and does nothing else.';
  },
};
