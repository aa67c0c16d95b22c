import type { PartitionMap } from '../../db/partition-map.ts';
import { endsAfter } from '../certificate/serial.ts';
import { HELD } from '../crl/revoked.ts';
import { type CertificatePage, type CertificatePosition, Conditions, walkPage } from './walk.ts';

/** What a listing is narrowed by. All that are given must hold. */
export interface CertificateFilter {
  /** Name of an agent or service. */
  readonly agent?: string;
  readonly operator?: string;
  readonly instance?: string;
  /** Of any of these, at most a hundred. */
  readonly instances?: readonly string[];
  readonly profile?: string;
  /** As of `now`: `active` is neither expired nor revoked, `held` of those what is on the lists, `expired` was never revoked. */
  readonly state?: 'active' | 'held' | 'expired' | 'revoked';
  /** Issued at or after, and before. Milliseconds. */
  readonly since?: number;
  readonly before?: number;
}

/** Partitions that one page looks into where an index finds the rows in each, at about 20 µs. */
const PROBES = 64;

/** Partitions of 10 000 rows that one page looks into where rows must be read to be judged, at about 2 ms. */
const SCANS = 2;

const LISTED_AS_HELD = `EXISTS (SELECT 1 FROM revoked r WHERE r.serial = {partition}.serial AND r.reason = ${HELD})`;

/**
 * The certificates that were valid at `time`: issued at or before, expiring after, and not revoked then. Newest partition
 * first.
 *
 * Touches the partitions that began before `time` and hold a certificate that ends after it. In all but the last of
 * them everything was issued before `time`, so the rows are a range of the index on serial numbers, since these begin
 * with the expiry. The last one goes on after `time`, maybe for months: there they are found by lifetime and time of
 * issue, or, where an index by holder finds few, among those.
 */
export async function certificatesValidAt(
  map: PartitionMap,
  query: { readonly time: number; readonly agent?: string; readonly instance?: string },
  limit: number,
  from?: CertificatePosition,
): Promise<CertificatePage> {
  const { time, agent, instance } = query;
  let where = new Conditions().and('(revoked_at IS NULL OR revoked_at > ?)', time);
  if (agent !== undefined) where = where.and("name = ? AND instance <> ''", agent);
  if (instance !== undefined) where = where.and("instance = ? AND instance <> ''", instance);
  const partitions = await map.overlapping(0, time, time);
  const last = map.known(time);
  const few = (agent !== undefined || instance !== undefined) && last !== undefined && !map.isNewest(last);
  const inClasses = last === undefined || few ? {} : { inClasses: last.number };
  const walk = { partitions, where, order: 'soonest-end', aliveAt: time, ...inClasses, probes: PROBES } as const;
  return walkPage(map, walk, limit, from);
}

/**
 * The certificates that pass a filter, newest partition first; in each the newest first, or where an index by holder or
 * state is what finds them, those that expire last. `now` is what `state` is judged by.
 */
export async function listCertificates(
  map: PartitionMap,
  filter: CertificateFilter,
  now: number,
  limit: number,
  from?: CertificatePosition,
): Promise<CertificatePage> {
  const { agent, operator, instance, instances, profile, state, since = 0, before = Number.MAX_SAFE_INTEGER } = filter;
  let where = new Conditions();
  if (agent !== undefined) where = where.and("name = ? AND instance <> ''", agent);
  if (operator !== undefined) where = where.and("name = ? AND kind = 'operator'", operator);
  if (instance !== undefined) where = where.and("instance = ? AND instance <> ''", instance);
  if (instances !== undefined) {
    where = where.and(`instance IN (${instances.map(() => '?').join(', ')}) AND instance <> ''`, ...instances);
  }
  if (profile !== undefined) where = where.and('profile = ?', profile);
  if (since > 0) where = where.and('issued_at >= ?', since);
  if (before < Number.MAX_SAFE_INTEGER) where = where.and('issued_at < ?', before);
  if (state === 'revoked') where = where.and('revoked_at IS NOT NULL');
  if (state === 'active' || state === 'held') where = where.and('revoked_at IS NULL AND serial > ?', endsAfter(now));
  if (state === 'held') where = where.and(LISTED_AS_HELD);
  if (state === 'expired') where = where.and('expires_at <= ? AND revoked_at IS NULL', now);
  const held = [agent, operator, instance, instances].some((holder) => holder !== undefined);
  const alive = state === 'active' || state === 'held';
  const found = held || alive || state === 'revoked';
  const partitions = await map.overlapping(since, before - 1, alive ? now : undefined);
  const scanned = !held && (profile !== undefined || state === 'expired' || state === 'held');
  const order = found ? 'latest-end' : 'newest';
  return walkPage(map, { partitions, where, order, probes: scanned ? SCANS : PROBES }, limit, from);
}

/** All certificates of an instance or operator that were issued at or after `since`, in the order of issue. */
export async function certificateHistory(
  map: PartitionMap,
  holder: { readonly instance: string } | { readonly operator: string },
  since: number,
  limit: number,
  from?: CertificatePosition,
): Promise<CertificatePage> {
  let where = new Conditions();
  if ('instance' in holder) where = where.and("instance = ? AND instance <> ''", holder.instance);
  else where = where.and("name = ? AND kind = 'operator'", holder.operator);
  const partitions = await map.overlapping(since, Number.MAX_SAFE_INTEGER);
  return walkPage(map, { partitions, where, order: 'oldest', oldestFirst: true, probes: PROBES }, limit, from);
}
