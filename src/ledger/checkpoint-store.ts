import type { Reader, Row, Transaction } from '../db/database.ts';

/** A checkpoint with both signatures, as kept. */
export interface KeptCheckpoint {
  readonly size: number;
  readonly log: number;
  /** Milliseconds, a multiple of 1000: what the cosignature says. */
  readonly time: number;
  readonly note: string;
}

/** Older checkpoints are kept about this far apart, in milliseconds: 9 000 a year, 33 MB. */
const KEEP_EVERY = 3_600_000;

/**
 * Stores a cosigned checkpoint as the latest. The one that was the latest goes, unless it is the first of its log or the
 * one kept before it is an hour older. Needs the lock of the head.
 */
export async function storeCheckpoint(tx: Transaction, checkpoint: KeptCheckpoint): Promise<void> {
  const [last, before] = await tx.all(
    'SELECT size, time FROM ledger_checkpoint WHERE log = ? ORDER BY size DESC LIMIT 2',
    [checkpoint.log],
  );
  const { size, log, time, note } = checkpoint;
  if (last !== undefined && last['size'] === size) return;
  if (last !== undefined && before !== undefined && Number(last['time']) - Number(before['time']) < KEEP_EVERY) {
    await tx.run('DELETE FROM ledger_checkpoint WHERE size = ?', [last['size']!]);
  }
  // A log that takes over from a lost one begins at a size that the old one may have had a checkpoint of.
  await tx.run(
    'INSERT INTO ledger_checkpoint (size, log, time, note) VALUES (?, ?, ?, ?) ON CONFLICT (size) DO NOTHING',
    [size, log, time, note],
  );
}

/** The latest cosigned checkpoint of the current log, or undefined before its first. */
export async function latestCheckpoint(reader: Reader): Promise<KeptCheckpoint | undefined> {
  const row = await reader.get(
    'SELECT c.size, c.log, c.time, c.note FROM ledger_checkpoint c JOIN ledger_head h ON h.id = 1 AND h.log = c.log ' +
      'ORDER BY c.size DESC LIMIT 1',
  );
  return row === undefined ? undefined : keptCheckpoint(row);
}

/** Every checkpoint that is kept, smallest first. About 9 000 a year. */
export async function keptCheckpoints(reader: Reader): Promise<KeptCheckpoint[]> {
  return (await reader.all('SELECT size, log, time, note FROM ledger_checkpoint ORDER BY size')).map(keptCheckpoint);
}

function keptCheckpoint(row: Row): KeptCheckpoint {
  return {
    size: row['size'] as number,
    log: row['log'] as number,
    time: row['time'] as number,
    note: row['note'] as string,
  };
}
