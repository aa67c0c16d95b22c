import type { Database } from './database.ts';
import { PARTITION_COLUMNS, type Partition, partitionOf } from './partition.ts';
import { nextRevision } from './partition-revision.ts';
import { isLockTimeout } from './postgres-error.ts';

/** The oldest partition whose rows had all expired before `?`; never the newest, which still takes rows. */
const OLDEST =
  `SELECT ${PARTITION_COLUMNS} FROM partition AS p WHERE family = ? AND dropped = 0 AND keep_until < ? ` +
  'AND number < (SELECT MAX(number) FROM partition AS newest WHERE newest.family = p.family) ORDER BY number LIMIT 1';

/**
 * Drops the table of at most one partition, in a short transaction of its own, and gives that partition; undefined when
 * there is nothing to drop or somebody is reading it just now. `before` is the end of retention in milliseconds: rows
 * that expired before it are nobody's any more. Call it again, with pauses, until it gives undefined.
 */
export async function dropOldestPartition(
  database: Database,
  family: string,
  before: number,
): Promise<Partition | undefined> {
  if ((await database.get(OLDEST, [family, before])) === undefined) return undefined;
  try {
    return await database.transaction(
      async (tx) => {
        // Whoever waits for the lock of a table makes all that come after it wait, too.
        if (database.engine === 'postgres') await tx.get("SELECT set_config('lock_timeout', '20ms', true)");
        const revision = await nextRevision(tx, family);
        const row = await tx.get(OLDEST, [family, before]);
        if (row === undefined) return undefined;
        const partition = partitionOf(row);
        await tx.run('UPDATE partition SET dropped = 1, revision = ? WHERE family = ? AND number = ?', [
          revision,
          family,
          partition.number,
        ]);
        await tx.run(`DROP TABLE ${partition.table}`);
        return { ...partition, dropped: true };
      },
      { aside: true },
    );
  } catch (error) {
    if (isLockTimeout(error)) return undefined;
    throw error;
  }
}
