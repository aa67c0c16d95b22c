import type { Federation, FederationFault } from './federation.ts';

/**
 * - `waiting`: there is no bundle yet.
 * - `refused`: what was fetched last is not believed; the one before counts.
 * - `failing`: nothing could be fetched the last time; the one before counts.
 * - `stale`: nothing was fetched for a day, so that what counts may have a key that was withdrawn.
 */
export type FederationStatus = 'good' | 'waiting' | 'refused' | 'failing' | 'stale';

/** Faults that say something about whoever answered, or about what they said, and not about the way there. */
export const TELLING: ReadonlySet<FederationFault> = new Set([
  'identity',
  'malformed',
  'own_domain',
  'sequence_back',
  'sequence_missing',
]);

/** Longer than any refresh hint that is followed. Milliseconds. */
const STALE = 86_400_000 + 3_600_000;

export function federationStatus({ fault, bundle, goodAt, createdAt }: Federation, now: number): FederationStatus {
  if (fault !== undefined && TELLING.has(fault)) return 'refused';
  if ((goodAt ?? createdAt) + STALE < now) return 'stale';
  if (fault !== undefined) return 'failing';
  return bundle === undefined ? 'waiting' : 'good';
}

const STATUSES: readonly FederationStatus[] = ['good', 'waiting', 'refused', 'failing', 'stale'];

interface Family {
  readonly name: string;
  readonly unit?: string;
  readonly help: string;
  /** Further labels and the value of each series. */
  lines(federation: Federation, now: number): readonly (readonly [labels: string, value: number])[];
}

const FAMILIES: readonly Family[] = [
  {
    name: 'writ_federation_bundle_age_seconds',
    unit: 'seconds',
    help: 'Since the bundle of another trust domain was last fetched and believed.',
    lines: ({ goodAt }, now) => (goodAt === undefined ? [] : [['', Math.max(0, now - goodAt) / 1000]]),
  },
  {
    name: 'writ_federation_bundle_sequence',
    help: 'Sequence of the bundle that counts, where it has one.',
    lines: ({ bundle }) => (bundle?.sequence === undefined ? [] : [['', bundle.sequence]]),
  },
  {
    name: 'writ_federation_status',
    help: '1 for how it stands with another trust domain.',
    lines: (one, now) =>
      STATUSES.map((status) => [`,status="${status}"`, federationStatus(one, now) === status ? 1 : 0]),
  },
  {
    name: 'writ_federation_refused_timestamp_seconds',
    unit: 'seconds',
    help: 'When the latest attempt to fetch a bundle ended badly, and why; absent once one ended well.',
    lines: ({ fault, triedAt }) =>
      fault === undefined || triedAt === undefined ? [] : [[`,fault="${fault}"`, triedAt / 1000]],
  },
];

/** OpenMetrics text, without the end mark; empty where there are none. Names of trust domains need no escapes. */
export function federationMetrics(all: readonly Federation[], now: number): string {
  if (all.length === 0) return '';
  return FAMILIES.map(({ name, unit, help, lines }) => {
    const head = `# TYPE ${name} gauge\n${unit === undefined ? '' : `# UNIT ${name} ${unit}\n`}# HELP ${name} ${help}\n`;
    const body = all.flatMap((one) =>
      lines(one, now).map(([labels, value]) => `${name}{trust_domain="${one.trustDomain}"${labels}} ${value}\n`),
    );
    return head + body.join('');
  }).join('');
}
