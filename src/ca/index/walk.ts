import { WritError } from '../../base/error.ts';
import type { SqlValue } from '../../db/database.ts';
import type { Partition } from '../../db/partition.ts';
import type { PartitionMap } from '../../db/partition-map.ts';
import { endsAfter, readSerial } from '../certificate/serial.ts';
import { CERTIFICATE_COLUMNS, type CertificateRow, certificateOf } from './certificates.ts';
import { LIFETIME_CLASS, LIFETIME_CLASSES, lifetimeClass } from './lifetime-class.ts';

/** Where the next page begins: in this partition, beyond this row. Without a row: at its first. */
export interface CertificatePosition {
  readonly partition: number;
  /** A ledger index or a serial number, by which the listing is ordered within a partition. */
  readonly after?: number | Uint8Array;
  /** `after` is a serial number, and the order is that of lifetime classes. */
  readonly inClasses?: boolean;
}

/** A page may be short, even empty, and yet have a next one: what one page reads is bounded, not only what it finds. */
export interface CertificatePage {
  readonly rows: readonly CertificateRow[];
  /** Where each row lies, in the order of `rows`. */
  readonly partitions: readonly number[];
  readonly next?: CertificatePosition;
}

/** A walk through partitions, and in each through the rows that pass, in an order. */
export interface Walk {
  /** Oldest first. */
  readonly partitions: readonly Partition[];
  readonly where: Conditions;
  readonly order: keyof typeof ORDERS;
  /** Instead of the newest partition first. */
  readonly oldestFirst?: boolean;
  /** Only what was issued at or before this instant (milliseconds) and expires after it; with an order by serial number. */
  readonly aliveAt?: number;
  /** Number of the partition in which the order is that of lifetime classes. Needs `aliveAt`. */
  readonly inClasses?: number;
  /** Partitions that one page looks into. */
  readonly probes: number;
}

const ORDERS = {
  newest: { column: 'leaf', past: '<', direction: 'DESC' },
  oldest: { column: 'leaf', past: '>', direction: 'ASC' },
  'latest-end': { column: 'serial', past: '<', direction: 'DESC' },
  'soonest-end': { column: 'serial', past: '>', direction: 'ASC' },
} as const;

/** One statement: what follows the columns, but for the limit. */
interface Query {
  readonly text: string;
  readonly params: readonly SqlValue[];
}

/** One page of a walk. Throws `bad_cursor` for a position of another one. */
export async function walkPage(
  map: PartitionMap,
  walk: Walk,
  limit: number,
  from: CertificatePosition | undefined,
): Promise<CertificatePage> {
  const { partitions, oldestFirst = false, probes } = walk;
  const rows: CertificateRow[] = [];
  const places: number[] = [];
  let looked = 0;
  for (const partition of oldestFirst ? partitions : partitions.toReversed()) {
    const { number } = partition;
    const here = number === from?.partition ? from : undefined;
    if (from !== undefined && here === undefined && number < from.partition === oldestFirst) continue;
    if (looked++ === probes) return { rows, partitions: places, next: { partition: number } };
    // A partition that was begun in classes is finished so, though by then it may not cover the instant any more.
    const inClasses = here?.after === undefined ? walk.inClasses === number : here.inClasses === true;
    for (const { text, params } of inClasses ? byClass(walk, here?.after) : inOrder(walk, here?.after)) {
      const sql = `SELECT ${CERTIFICATE_COLUMNS} FROM {partition}${text} LIMIT ${limit - rows.length}`;
      for (const row of await map.in(partition, sql, params)) {
        rows.push(certificateOf(row));
        places.push(number);
      }
      if (rows.length < limit) continue;
      const { leaf, serial } = rows.at(-1)!;
      if (inClasses) return { rows, partitions: places, next: { partition: number, after: serial, inClasses } };
      const after = ORDERS[walk.order].column === 'leaf' ? leaf : serial;
      return { rows, partitions: places, next: { partition: number, after } };
    }
  }
  return { rows, partitions: places };
}

function* inOrder({ where, order, aliveAt }: Walk, after: number | Uint8Array | undefined): Generator<Query> {
  const { column, past, direction } = ORDERS[order];
  if (after !== undefined && (typeof after === 'number') !== (column === 'leaf')) throw misplaced();
  let all = aliveAt === undefined ? where : where.and('issued_at <= ?', aliveAt);
  const begin = after ?? (aliveAt === undefined ? undefined : endsAfter(aliveAt));
  if (begin !== undefined) all = all.and(`${column} ${past} ?`, begin);
  yield { text: `${all.text()} ORDER BY ${column} ${direction}`, params: all.params };
}

/**
 * What is alive at an instant, one class of lifetimes after the other, in each those issued last first. Each is a range
 * of the index on class and time of issue, of which only those are read in vain whose life was shorter than their class
 * allows.
 */
function* byClass({ where, aliveAt }: Walk, after: number | Uint8Array | undefined): Generator<Query> {
  const reached = after instanceof Uint8Array ? readSerial(after) : undefined;
  if (aliveAt === undefined || (after !== undefined && reached === undefined)) throw misplaced();
  const begun = reached === undefined ? undefined : lifetimeClass(reached.expiresAt - reached.issuedAt);
  for (const bound of LIFETIME_CLASSES.slice(begun === undefined ? 0 : LIFETIME_CLASSES.indexOf(begun))) {
    const since = bound === 0 ? -1 : aliveAt - bound;
    const until = bound === begun ? reached!.issuedAt : aliveAt;
    let all = where
      .and(`${LIFETIME_CLASS} = ? AND issued_at > ? AND issued_at <= ?`, bound, since, until)
      .and('expires_at > ?', aliveAt);
    if (bound === begun) all = all.and('(issued_at < ? OR serial < ?)', until, after as Uint8Array);
    yield { text: `${all.text()} ORDER BY issued_at DESC, serial DESC`, params: all.params };
  }
}

function misplaced(): WritError {
  return new WritError('bad_cursor', 'The cursor is not one that this listing gave.', {
    field: '?cursor',
    remedy: 'Start without a cursor.',
  });
}

/** A conjunction and its parameters. */
export class Conditions {
  readonly params: readonly SqlValue[];
  readonly #terms: readonly string[];

  constructor(terms: readonly string[] = [], params: readonly SqlValue[] = []) {
    this.#terms = terms;
    this.params = params;
  }

  and(term: string, ...params: readonly SqlValue[]): Conditions {
    return new Conditions([...this.#terms, term], [...this.params, ...params]);
  }

  text(): string {
    return this.#terms.length === 0 ? '' : ` WHERE ${this.#terms.join(' AND ')}`;
  }
}
