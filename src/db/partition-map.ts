import { isWritError } from '../base/error.ts';
import type { Reader, Row, SqlValue } from './database.ts';
import { covering, inPartition, merge, PARTITION_COLUMNS, type Partition, partitionOf } from './partition.ts';

/**
 * The partitions of one family for those who read. The map is kept in memory; what has changed of it is read again
 * whenever an answer could depend on that: a row is not where it should be, or the question is about many rows.
 */
export class PartitionMap {
  readonly #reader: Reader;
  readonly #family: string;
  readonly #partitions: Partition[] = [];
  #revision = 0;
  #refreshing: Promise<void> | undefined;

  constructor(reader: Reader, family: string) {
    this.#reader = reader;
    this.#family = family;
  }

  /**
   * One row of the partition that covers the time `at` (milliseconds); undefined when there is none, or when that time
   * is past retention. `sql` holds `{partition}` for the table.
   */
  async get(at: number, sql: string, params: readonly SqlValue[]): Promise<Row | undefined> {
    const known = covering(this.#partitions, at);
    const row = known === undefined ? undefined : (await this.in(known, sql, params))[0];
    if (row !== undefined) return row;
    await this.#refresh();
    const now = covering(this.#partitions, at);
    if (now === undefined || now.number === known?.number) return undefined;
    return (await this.in(now, sql, params))[0];
  }

  /**
   * The partition that covers the time `at`, as far as this map knows: that of any row which was found through it.
   * Undefined when it knows none, or when that one is past retention.
   */
  known(at: number): Partition | undefined {
    const partition = covering(this.#partitions, at);
    return partition?.dropped === true ? undefined : partition;
  }

  /** Whether rows still come to this partition, as far as this map knows, and so it has no indexes of history yet. */
  isNewest(partition: Partition): boolean {
    return partition.number === this.#partitions.length;
  }

  /**
   * The partitions, oldest first, that may hold rows of times in `from` … `to` (both included, milliseconds) that are
   * kept beyond `aliveAt`. Those that were dropped are left out.
   */
  async overlapping(from: number, to: number, aliveAt: number = Number.NEGATIVE_INFINITY): Promise<Partition[]> {
    // Always: a late row may have made any of them to be kept longer.
    await this.#refresh();
    const first = covering(this.#partitions, from)?.number ?? 1;
    const last = covering(this.#partitions, to)?.number ?? 0;
    return this.#partitions
      .slice(first - 1, last)
      .filter((partition) => !partition.dropped && partition.keepUntil > aliveAt);
  }

  /**
   * The instant (milliseconds) from which answers are whole: rows that expired before it may have been dropped. 0 while
   * nothing has been.
   */
  async completeSince(): Promise<number> {
    await this.#refresh();
    return this.#partitions.reduce(
      (latest, { dropped, keepUntil }) => (dropped ? Math.max(latest, keepUntil) : latest),
      0,
    );
  }

  /** The rows of one partition; none when it has been dropped meanwhile. */
  async in(partition: Partition, sql: string, params: readonly SqlValue[]): Promise<Row[]> {
    if (partition.dropped) return [];
    try {
      return await this.#reader.all(inPartition(sql, partition), params);
    } catch (error) {
      // The table may be gone: then the map says so by now.
      if (!isWritError(error, 'internal')) throw error;
      await this.#refresh();
      if (this.#partitions[partition.number - 1]?.dropped !== true) throw error;
      return [];
    }
  }

  #refresh(): Promise<void> {
    this.#refreshing ??= this.#load().finally(() => {
      this.#refreshing = undefined;
    });
    return this.#refreshing;
  }

  async #load(): Promise<void> {
    const rows = await this.#reader.all(
      `SELECT ${PARTITION_COLUMNS} FROM partition WHERE family = ? AND revision > ? ORDER BY number`,
      [this.#family, this.#revision],
    );
    merge(this.#partitions, rows.map(partitionOf));
    for (const row of rows) this.#revision = Math.max(this.#revision, Number(row['revision']));
  }
}
