/**
 * Commits batches in transactions of their own, partitions included, without a ledger: the least that a store needs.
 * Leaf indices count up from 0.
 */
import type { Clock } from '../src/base/clock.ts';
import type { Batch, Commit, LeafIndex } from '../src/db/batch.ts';
import type { Database, SqlValue } from '../src/db/database.ts';
import { inPartition, type PartitionFamily } from '../src/db/partition.ts';
import { PartitionWriter } from '../src/db/partition-writer.ts';

export class RowWriter {
  readonly #database: Database;
  readonly #partitions: PartitionWriter;
  #size = 0;

  constructor(database: Database, families: readonly PartitionFamily[], clock: Clock) {
    this.#database = database;
    this.#partitions = new PartitionWriter(database.engine, families, clock);
  }

  commit(...batches: readonly Batch[]): Promise<Commit[]> {
    return this.#database.transaction(async (tx) => {
      const commits: Commit[] = [];
      for (const { checks, writes, events } of batches) {
        let refused: Commit | undefined;
        for (const check of checks) {
          const found = (await tx.get(check.sql, check.params)) !== undefined;
          if (found !== (check.want === 'present')) {
            refused ??= { committed: false, refusal: check.refusal, reason: check.reason };
          }
        }
        commits.push(refused ?? { committed: true, firstLeaf: this.#size });
        if (refused !== undefined) continue;
        for (const { sql, params, partition } of writes) {
          const values = params.map((value): SqlValue => (isLeaf(value) ? this.#size + value.leaf : value));
          const table = partition === undefined ? '' : await this.#partitions.table(tx, partition);
          await tx.run(inPartition(sql, { table } as Parameters<typeof inPartition>[1]), values);
        }
        this.#size += events.length;
      }
      return commits;
    });
  }
}

function isLeaf(value: SqlValue | LeafIndex): value is LeafIndex {
  return typeof value === 'object' && value !== null && !(value instanceof Uint8Array);
}
