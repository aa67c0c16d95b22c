import { WritError } from '../base/error.ts';
import type { SqlValue } from '../db/database.ts';
import type { Partition } from '../db/partition.ts';
import type { PartitionMap } from '../db/partition-map.ts';
import { CERTIFICATE_COLUMNS, type CertificateRow, certificateOf } from './certificates.ts';

/** What a listing is narrowed by. All that are given must hold. */
export interface CertificateFilter {
  /** Name of an agent or service. */
  readonly agent?: string;
  readonly operator?: string;
  readonly instance?: string;
  readonly profile?: string;
  /** As of `now`: `active` is neither expired nor revoked, `expired` was never revoked. */
  readonly state?: 'active' | 'expired' | 'revoked';
  /** Issued at or after, and before. Milliseconds. */
  readonly since?: number;
  readonly before?: number;
}

/** Where the next page begins: in this partition, beyond this row. Without a row: at its first. */
export interface CertificatePosition {
  readonly partition: number;
  /** A ledger index or a serial number, by which the listing is ordered within a partition. */
  readonly after?: number | Uint8Array;
}

/** A page may be short, even empty, and yet have a next one: what one page reads is bounded, not only what it finds. */
export interface CertificatePage {
  readonly rows: readonly CertificateRow[];
  /** Where each row lies, in the order of `rows`. */
  readonly partitions: readonly number[];
  readonly next?: CertificatePosition;
}

/** Partitions that one page looks into where an index finds the rows in each, at about 20 µs. */
const PROBES = 64;

/** Partitions of 10 000 rows that one page looks into where rows must be read to be judged, at about 2 ms. */
const SCANS = 2;

/**
 * The certificates that were valid at `time`: issued at or before, expiring after, and not revoked then. Newest partition
 * first, in each those that expire first.
 *
 * Touches the partitions that began before `time` and hold a certificate that ends after it. In each the rows are a
 * range of the index on serial numbers, since these begin with the expiry.
 */
export async function certificatesValidAt(
  map: PartitionMap,
  query: { readonly time: number; readonly agent?: string; readonly instance?: string },
  limit: number,
  from?: CertificatePosition,
): Promise<CertificatePage> {
  const { time, agent, instance } = query;
  const where = new Conditions();
  where.add('issued_at <= ?', time);
  where.add('(revoked_at IS NULL OR revoked_at > ?)', time);
  if (agent !== undefined) where.add("name = ? AND instance <> ''", agent);
  if (instance !== undefined) where.add("instance = ? AND instance <> ''", instance);
  const partitions = await map.overlapping(0, time, time);
  return pages(map, { partitions, where, order: 'soonest-end', beyond: endsAfter(time), probes: PROBES }, limit, from);
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
  const { agent, operator, instance, profile, state, since = 0, before = Number.MAX_SAFE_INTEGER } = filter;
  const where = new Conditions();
  if (agent !== undefined) where.add("name = ? AND instance <> ''", agent);
  if (operator !== undefined) where.add("name = ? AND kind = 'operator'", operator);
  if (instance !== undefined) where.add("instance = ? AND instance <> ''", instance);
  if (profile !== undefined) where.add('profile = ?', profile);
  if (since > 0) where.add('issued_at >= ?', since);
  if (before < Number.MAX_SAFE_INTEGER) where.add('issued_at < ?', before);
  if (state === 'revoked') where.add('revoked_at IS NOT NULL');
  if (state === 'active') where.add('revoked_at IS NULL');
  if (state === 'active') where.add('serial > ?', endsAfter(now));
  if (state === 'expired') where.add('expires_at <= ? AND revoked_at IS NULL', now);
  const held = agent !== undefined || operator !== undefined || instance !== undefined;
  const found = held || state === 'active' || state === 'revoked';
  const partitions = await map.overlapping(since, before - 1, state === 'active' ? now : undefined);
  const scanned = !held && (profile !== undefined || state === 'expired');
  const order = found ? 'latest-end' : 'newest';
  return pages(map, { partitions, where, order, probes: scanned ? SCANS : PROBES }, limit, from);
}

/** All certificates of an instance or operator that were issued at or after `since`, in the order of issue. */
export async function certificateHistory(
  map: PartitionMap,
  holder: { readonly instance: string } | { readonly operator: string },
  since: number,
  limit: number,
  from?: CertificatePosition,
): Promise<CertificatePage> {
  const where = new Conditions();
  if ('instance' in holder) where.add("instance = ? AND instance <> ''", holder.instance);
  else where.add("name = ? AND kind = 'operator'", holder.operator);
  const partitions = await map.overlapping(since, Number.MAX_SAFE_INTEGER);
  return pages(map, { partitions, where, order: 'oldest', oldestFirst: true, probes: PROBES }, limit, from);
}

/** Serial numbers above this one expire after `time`: they begin with the expiry, 48 bits, in milliseconds. */
function endsAfter(time: number): Uint8Array {
  const bound = new Uint8Array(6);
  new DataView(bound.buffer).setUint16(0, Math.floor((time + 1) / 2 ** 32));
  new DataView(bound.buffer).setUint32(2, (time + 1) % 2 ** 32);
  return bound;
}

const ORDERS = {
  newest: { column: 'leaf', past: '<', direction: 'DESC' },
  oldest: { column: 'leaf', past: '>', direction: 'ASC' },
  'latest-end': { column: 'serial', past: '<', direction: 'DESC' },
  'soonest-end': { column: 'serial', past: '>', direction: 'ASC' },
} as const;

interface Walk {
  /** Oldest first. */
  readonly partitions: readonly Partition[];
  readonly where: Conditions;
  readonly order: keyof typeof ORDERS;
  /** Instead of the newest partition first. */
  readonly oldestFirst?: boolean;
  /** Where each partition begins, instead of at its first row. */
  readonly beyond?: Uint8Array;
  readonly probes: number;
}

async function pages(
  map: PartitionMap,
  { partitions, where, order, oldestFirst = false, beyond, probes }: Walk,
  limit: number,
  from: CertificatePosition | undefined,
): Promise<CertificatePage> {
  const { column, past, direction } = ORDERS[order];
  if (from?.after !== undefined && (typeof from.after === 'number') !== (column === 'leaf')) throw misplaced();
  const rows: CertificateRow[] = [];
  const places: number[] = [];
  let looked = 0;
  for (const partition of oldestFirst ? partitions : partitions.toReversed()) {
    const passed = from !== undefined && partition.number !== from.partition;
    if (passed && partition.number < from.partition === oldestFirst) continue;
    if (looked++ === probes) return { rows, partitions: places, next: { partition: partition.number } };
    const begin = (partition.number === from?.partition ? from.after : undefined) ?? beyond;
    const sql =
      `SELECT ${CERTIFICATE_COLUMNS} FROM {partition}${where.text(begin === undefined ? undefined : `${column} ${past} ?`)}` +
      ` ORDER BY ${column} ${direction} LIMIT ${limit - rows.length}`;
    const params = begin === undefined ? where.params : [...where.params, begin];
    for (const row of await map.in(partition, sql, params)) {
      rows.push(certificateOf(row));
      places.push(partition.number);
    }
    if (rows.length === limit) {
      const last = rows.at(-1)!;
      const after = column === 'leaf' ? last.leaf : last.serial;
      return { rows, partitions: places, next: { partition: partition.number, after } };
    }
  }
  return { rows, partitions: places };
}

function misplaced(): WritError {
  return new WritError('bad_cursor', 'The cursor is not one that this listing gave.', {
    field: '?cursor',
    remedy: 'Start without a cursor.',
  });
}

/** A conjunction and its parameters. */
class Conditions {
  readonly #terms: string[] = [];
  readonly params: SqlValue[] = [];

  add(term: string, ...params: readonly SqlValue[]): void {
    this.#terms.push(term);
    this.params.push(...params);
  }

  text(last: string | undefined): string {
    const terms = last === undefined ? this.#terms : [...this.#terms, last];
    return terms.length === 0 ? '' : ` WHERE ${terms.join(' AND ')}`;
  }
}
