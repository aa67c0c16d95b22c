import type { Clock } from '../base/clock.ts';
import { WritError } from '../base/error.ts';
import type { Database, Transaction } from './database.ts';
import {
  covering,
  DEFAULT_ROW_LIMIT,
  inPartition,
  merge,
  PARTITION_COLUMNS,
  type Partition,
  type PartitionFamily,
  partitionOf,
  tableName,
} from './partition.ts';
import { nextRevision } from './partition-revision.ts';
import { definitionFor, splitStatements } from './sql.ts';

/** How long a partition is kept is rounded up to this many milliseconds, so that it is seldom written. */
const KEEP_STEP = 300_000;
/** Rows after which a writer counts again how many there really are, as a part of the row limit. */
const RECOUNT = 1 / 10;

/** Where a row goes: its family, its own time and the time after which nobody needs it (both in milliseconds). */
export interface PartitionTarget {
  readonly family: string;
  readonly at: number;
  readonly expires: number;
}

/** What a writer knows of one family. */
interface Known {
  readonly family: PartitionFamily;
  /** As it was at the beginning of `tx`; what `tx` changes must not be believed before it is seen in the next one. */
  readonly committed: Partition[];
  revision: number;
  /** With the changes of `tx`. */
  view: Partition[];
  tx: Transaction | undefined;
  entering: Promise<void> | undefined;
  /** Rows of the newest partition when they were last counted, and those placed there since. */
  counted: number;
  placed: number;
  /** The latest time of a row placed there. */
  latest: number;
}

/**
 * Places rows into partitions for whoever writes under the lock of the log head, and begins the next partition when one
 * is full. Since all writers hold that lock, and each looks at the family's revision first in every transaction, no two
 * of them ever disagree about which table a time belongs to. A transaction that rolls back needs no word to this.
 */
export class PartitionWriter {
  readonly #engine: Database['engine'];
  readonly #clock: Clock;
  readonly #known: ReadonlyMap<string, Known>;

  constructor(engine: Database['engine'], families: readonly PartitionFamily[], clock: Clock) {
    this.#engine = engine;
    this.#clock = clock;
    this.#known = new Map(families.map((family) => [family.name, unknown(family)]));
  }

  /**
   * The name of the table for a row that will be written in `tx`, which holds the lock. Answers without a promise unless
   * the map has to be looked at (once in each transaction) or changed. `expired` when the time is past retention.
   */
  table(tx: Transaction, target: PartitionTarget): string | Promise<string> {
    const known = this.#known.get(target.family);
    if (known === undefined)
      throw new WritError('internal', 'A write names a partition family that nobody has defined.');
    if (known.tx === tx && known.entering === undefined) return this.#place(known, tx, target);
    if (known.tx !== tx) {
      known.tx = tx;
      known.entering = this.#enter(known, tx).finally(() => {
        known.entering = undefined;
      });
    }
    return known.entering!.then(() => this.#place(known, tx, target));
  }

  #place(known: Known, tx: Transaction, target: PartitionTarget): string | Promise<string> {
    const partition = covering(known.view, target.at);
    if (partition === undefined || partition.dropped) {
      throw new WritError('expired', 'The record belongs to a time that is past retention.');
    }
    const newest = partition.number === known.view.length;
    const { rowLimit = DEFAULT_ROW_LIMIT } = known.family;
    const due = newest && (known.counted + known.placed >= rowLimit || known.placed >= rowLimit * RECOUNT);
    if (due || target.expires > partition.keepUntil) return this.#change(known, tx, target, due);
    if (newest) {
      known.placed++;
      known.latest = Math.max(known.latest, target.at);
    }
    return partition.table;
  }

  /** Looks at the map as it stands committed. The first writer ever makes the first partition. */
  async #enter(known: Known, tx: Transaction): Promise<void> {
    const { name } = known.family;
    const row = await tx.get('SELECT revision FROM partition_family WHERE family = ?', [name]);
    if (row === undefined) {
      await tx.run('INSERT INTO partition_family (family, revision) VALUES (?, 0)', [name]);
      known.view = [await this.#create(tx, known.family, 1, 0, await nextRevision(tx, name))];
      known.counted = 0;
      known.placed = 0;
      return;
    }
    const revision = Number(row['revision']);
    if (revision !== known.revision) {
      const newest = known.committed.length;
      const changed = await tx.all(
        `SELECT ${PARTITION_COLUMNS} FROM partition WHERE family = ? AND revision > ? ORDER BY number`,
        [name, known.revision],
      );
      merge(known.committed, changed.map(partitionOf));
      known.revision = revision;
      if (known.committed.length !== newest) await this.#count(known, tx, known.committed.at(-1)!);
    }
    known.view = known.committed;
  }

  async #change(known: Known, tx: Transaction, target: PartitionTarget, due: boolean): Promise<string> {
    const { family } = known;
    if (due) {
      const newest = known.view.at(-1)!;
      await this.#count(known, tx, newest);
      if (known.counted >= (family.rowLimit ?? DEFAULT_ROW_LIMIT)) {
        const row = await tx.get(`SELECT MAX(${family.timeColumn}) AS latest FROM ${newest.table}`);
        // After every row there is and after every one under way that was made before now.
        const startsAt = Math.max(this.#clock.now(), Number(row?.['latest'] ?? 0), known.latest, newest.startsAt) + 1;
        await this.#define(tx, family.closed ?? [], newest);
        const revision = await nextRevision(tx, family.name);
        known.view = [...known.view, await this.#create(tx, family, newest.number + 1, startsAt, revision)];
        known.counted = 0;
      }
    }
    const partition = covering(known.view, target.at)!;
    if (target.expires > partition.keepUntil) {
      const keepUntil = Math.ceil(target.expires / KEEP_STEP) * KEEP_STEP;
      await tx.run('UPDATE partition SET keep_until = ?, revision = ? WHERE family = ? AND number = ?', [
        keepUntil,
        await nextRevision(tx, family.name),
        family.name,
        partition.number,
      ]);
      known.view = known.view.with(partition.number - 1, { ...partition, keepUntil });
    }
    known.placed++;
    known.latest = Math.max(known.latest, target.at);
    return partition.table;
  }

  async #count(known: Known, tx: Transaction, partition: Partition): Promise<void> {
    const row = await tx.get(`SELECT COUNT(*) AS number_of_rows FROM ${partition.table}`);
    known.counted = Number(row!['number_of_rows']);
    known.placed = 0;
  }

  async #create(
    tx: Transaction,
    family: PartitionFamily,
    number: number,
    startsAt: number,
    revision: number,
  ): Promise<Partition> {
    const { name } = family;
    const partition = { family: name, number, table: tableName(name, number), startsAt, keepUntil: 0, dropped: false };
    await this.#define(tx, family.open, partition);
    await tx.run(`INSERT INTO partition (${PARTITION_COLUMNS}) VALUES (?, ?, ?, 0, 0, ?)`, [
      name,
      number,
      startsAt,
      revision,
    ]);
    return partition;
  }

  async #define(tx: Transaction, texts: readonly string[], partition: Partition): Promise<void> {
    for (const text of texts) {
      for (const statement of splitStatements(inPartition(text, partition))) {
        await tx.run(definitionFor(this.#engine, statement));
      }
    }
  }
}

function unknown(family: PartitionFamily): Known {
  return {
    family,
    committed: [],
    revision: 0,
    view: [],
    tx: undefined,
    entering: undefined,
    counted: 0,
    placed: 0,
    latest: 0,
  };
}
