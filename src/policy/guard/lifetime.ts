import { CERTIFIES, type GuardRule, number } from './rule.ts';

/** A certificate lives as its profile allows, neither less nor more. */
export const lifetime: GuardRule = {
  id: 'guard.lifetime',
  refuse(request) {
    if (!CERTIFIES.includes(request.action)) return undefined;
    const seconds = number(request, 'lifetimeSeconds')!;
    const least = number(request, 'profileMinSeconds')!;
    const most = number(request, 'profileMaxSeconds')!;
    if (seconds > 0 && seconds >= least && seconds <= most) return undefined;
    return `The profile allows lifetimes of ${least} to ${most} seconds.`;
  },
};
