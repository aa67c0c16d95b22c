import { WritError } from '../base/error.ts';
import type { Row } from './database.ts';

/**
 * Rows that only grow in number and are done with after a time lie in many small tables, the partitions of a family.
 * Each covers an interval of the rows' own time, so a time names one table for ever, inserts stay at the right edge,
 * and what is past retention is dropped whole. `{partition}` in a statement stands for the table's name.
 */
export interface PartitionFamily {
  /** Lower-case letters and underscores: `certificate` has the tables `certificate_p1`, `certificate_p2` … */
  readonly name: string;
  /**
   * What makes a partition: CREATE TABLE and CREATE INDEX of the shared subset, with `{partition}` as the table's name and
   * at the front of each index's: `CREATE INDEX {partition}_agent ON {partition} (agent)`.
   */
  readonly open: readonly string[];
  /**
   * What is done to a partition, in the same transaction, when the next one is begun: indexes that only history needs
   * are made over all rows at once. Late rows may still come, and rows may still change.
   */
  readonly closed?: readonly string[];
  /** The column (BIGINT, milliseconds) that holds the time by which rows are placed. It never changes in a row. */
  readonly timeColumn: string;
  /**
   * Rows after which the next partition is begun. Default 10 000: dropping them takes 1 ms when their pages are in
   * memory and 15 ms when they must be read from disk, and each table costs every reading connection 7 µs whenever
   * any partition comes or goes.
   */
  readonly rowLimit?: number;
}

export const DEFAULT_ROW_LIMIT = 10_000;

/** One partition, as its table's row in `partition` says. */
export interface Partition {
  readonly family: string;
  readonly number: number;
  readonly table: string;
  /** First millisecond that it holds. */
  readonly startsAt: number;
  /** No row in it expires after this time (milliseconds). Rounded up, and may still rise. */
  readonly keepUntil: number;
  /** Its rows were past retention and are gone. */
  readonly dropped: boolean;
}

export const PARTITION_COLUMNS = 'family, number, starts_at, keep_until, dropped, revision';

export function partitionOf(row: Row): Partition {
  const family = String(row['family']);
  const number = Number(row['number']);
  return {
    family,
    number,
    table: tableName(family, number),
    startsAt: Number(row['starts_at']),
    keepUntil: Number(row['keep_until']),
    dropped: row['dropped'] !== 0,
  };
}

export function tableName(family: string, number: number): string {
  if (!/^[a-z_]+$/.test(family))
    throw new WritError('internal', 'A partition family has a name that cannot be a table.');
  return `${family}_p${number}`;
}

/** Puts the table's name into a statement. */
export function inPartition(sql: string, partition: Partition): string {
  return sql.replaceAll('{partition}', partition.table);
}

/** The partition that covers `at`, by bisection; undefined when there is none yet. `partitions` are in order. */
export function covering(partitions: readonly Partition[], at: number): Partition | undefined {
  let low = 0;
  let high = partitions.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (partitions[middle]!.startsAt <= at) low = middle + 1;
    else high = middle;
  }
  return partitions[low - 1];
}

/** Takes over changed and new partitions; keeps the order. */
export function merge(partitions: Partition[], changed: readonly Partition[]): void {
  for (const partition of changed) {
    // Numbers run from 1 without gaps.
    if (partition.number > partitions.length + 1)
      throw new WritError('internal', 'A partition is missing from its map.');
    partitions[partition.number - 1] = partition;
  }
}
