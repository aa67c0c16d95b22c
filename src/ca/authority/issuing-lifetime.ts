import { LIFETIMES } from '../lifetime.ts';
import { longestLifetime, type Profile } from '../profile/profile.ts';

/** The life of a new issuing authority, in seconds. */
export function issuingLifetime(profiles: readonly Profile[]): number {
  return LIFETIMES.issuingSigns + longestLifetime(profiles);
}
