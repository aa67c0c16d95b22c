import { type GuardRule, number } from './rule.ts';

/** Longest emergency access, in seconds. */
const LONGEST = 1800;

/** Emergency access is a person's, and short. */
export const breakGlass: GuardRule = {
  id: 'guard.break-glass',
  refuse(request) {
    const { caller, action } = request;
    if (!action.startsWith('emergency.')) return undefined;
    if (caller.kind !== 'operator') return 'Emergency access is for people, by their own credential.';
    if (action !== 'emergency.begin') return undefined;
    const seconds = number(request, 'lifetimeSeconds')!;
    return seconds > 0 && seconds <= LONGEST ? undefined : `Emergency access lasts ${LONGEST} seconds at most.`;
  },
};
