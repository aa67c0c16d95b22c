import type { Reader } from '../../db/database.ts';
import { type Federation, type FederationFault, listFederations } from '../../spiffe/federation.ts';

/** Faults that say something about the other side, and not about the way there. */
const SUSPECT: ReadonlySet<FederationFault> = new Set([
  'identity',
  'own_domain',
  'malformed',
  'sequence_back',
  'sequence_missing',
]);

/** A bundle that was not fetched for so long may miss a key that was withdrawn. Milliseconds. */
const OLD = 86_400_000;

/**
 * What federation says, for `writ doctor`: an alarm where the other side says what it may not, or has been away for a day; a
 * warning where it is away.
 */
export async function federations(
  reader: Reader,
  now: number,
): Promise<{ readonly state: 'pass' | 'warn' | 'fail'; readonly found: string; readonly fix?: string }> {
  const all = await listFederations(reader);
  if (all.length === 0) return { state: 'pass', found: 'none' };
  const names = (some: readonly Federation[]): string => some.map(({ trustDomain }) => trustDomain).join(', ');
  const suspect = all.filter(({ fault }) => fault !== undefined && SUSPECT.has(fault));
  const fix = 'see why with "writ federation show DOMAIN": docs/FEDERATION.md';
  if (suspect.length > 0) return { state: 'fail', found: `what is fetched is not believed: ${names(suspect)}`, fix };
  const away = all.filter(({ fault, bundle }) => fault !== undefined || bundle === undefined);
  const old = away.filter(({ goodAt, createdAt }) => (goodAt ?? createdAt) + OLD < now);
  if (old.length > 0) return { state: 'fail', found: `not fetched for a day: ${names(old)}`, fix };
  if (away.length > 0) return { state: 'warn', found: `cannot be fetched now: ${names(away)}`, fix };
  return { state: 'pass', found: `${all.length} fetched as they should be` };
}
