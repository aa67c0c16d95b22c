import type { Reader } from '../../db/database.ts';
import { listFederations } from '../../spiffe/federation.ts';
import { type FederationStatus, federationStatus } from '../../spiffe/federation-status.ts';

/** What federation says, for `writ doctor`: an alarm where a bundle is refused or stale, a warning where it cannot be fetched now. */
export async function federations(
  reader: Reader,
  now: number,
): Promise<{ readonly state: 'pass' | 'warn' | 'fail'; readonly found: string; readonly fix?: string }> {
  const all = await listFederations(reader);
  if (all.length === 0) return { state: 'pass', found: 'none' };
  const standing = (...wanted: readonly FederationStatus[]): string =>
    all
      .filter((one) => wanted.includes(federationStatus(one, now)))
      .map(({ trustDomain, fault }) => (fault === undefined ? trustDomain : `${trustDomain} (${fault})`))
      .join(', ');
  const fix = 'see more with "writ federation show DOMAIN": docs/FEDERATION.md';
  const [refused, stale, away] = [standing('refused'), standing('stale'), standing('failing', 'waiting')];
  const bad = [
    ...(refused === '' ? [] : [`what is fetched is not believed: ${refused}`]),
    ...(stale === '' ? [] : [`not fetched for a day: ${stale}`]),
  ];
  if (bad.length > 0) return { state: 'fail', found: bad.join('; '), fix };
  if (away !== '') return { state: 'warn', found: `cannot be fetched now: ${away}`, fix };
  return { state: 'pass', found: `${all.length} fetched as they should be` };
}
