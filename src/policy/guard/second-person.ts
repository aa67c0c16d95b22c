import { type GuardRule, text } from './rule.ts';

/** What one person asked for another confirms, and no machine does. */
export const secondPerson: GuardRule = {
  id: 'guard.second-person',
  refuse(request) {
    const { caller, action } = request;
    if (action !== 'stop.confirm') return undefined;
    if (caller.kind !== 'operator' && caller.kind !== 'system') return 'A person confirms this.';
    return text(request, 'askedBy') === caller.id ? 'Another person than the one who asked confirms this.' : undefined;
  },
};
