import { WritError } from '../base/error.ts';
import type { Reader, Row, SqlValue, Transaction } from '../db/database.ts';
import { SERVER_TIME } from './clock.ts';

/** The row that says what the log is now. Whoever holds its lock is the only one that commits. */
export interface Head {
  /** Number of the log in `ledger_log`. */
  readonly log: number;
  readonly origin: string;
  /** Number of leaves. */
  readonly size: number;
  readonly root: Uint8Array;
  /** Milliseconds of the latest commit. */
  readonly time: number;
  readonly epoch: number;
  /** The checkpoint of this size, signed with Ed25519. */
  readonly note: string;
}

/** What every group reads under the lock; the rest it knows from its own last commit. */
export type HeadPosition = Pick<Head, 'log' | 'size' | 'time' | 'epoch'>;

/** The head as last committed, or undefined before the log was started. */
export async function readHead(reader: Reader): Promise<Head | undefined> {
  const row = await reader.get(
    'SELECT h.log, l.origin, h.size, h.root, h.time, h.epoch, h.note ' +
      'FROM ledger_head h JOIN ledger_log l ON l.log = h.log WHERE h.id = 1',
  );
  if (row === undefined) return undefined;
  return {
    ...position(row),
    origin: row['origin'] as string,
    root: row['root'] as Uint8Array,
    note: row['note'] as string,
  };
}

export interface LockedHead extends HeadPosition {
  /** What the clock of the database's machine showed, in milliseconds, where that may be another machine. */
  readonly serverTime: number | undefined;
}

/**
 * Takes the lock of the log until the transaction ends. On SQLite the transaction itself is the lock; PostgreSQL locks
 * the row and gives it as the transaction before left it.
 */
export async function lockHead(tx: Transaction, engine: 'sqlite' | 'postgres'): Promise<LockedHead> {
  const row = await tx.get(engine === 'postgres' ? LOCK_POSTGRES : LOCK);
  if (row === undefined) throw new WritError('ledger_corrupt', 'the head of the ledger is missing');
  return { ...position(row), serverTime: row['server_time'] as number | undefined };
}

const LOCK = 'SELECT log, size, time, epoch FROM ledger_head WHERE id = 1';
const LOCK_POSTGRES = `SELECT log, size, time, epoch, ${SERVER_TIME} FROM ledger_head WHERE id = 1 FOR UPDATE`;

/** The statement that stores the head which the transaction has made. Needs the lock. */
export function headUpdate(head: Omit<Head, 'log' | 'origin'>): [sql: string, params: SqlValue[]] {
  const { size, root, time, epoch, note } = head;
  return [
    'UPDATE ledger_head SET size = ?, root = ?, time = ?, epoch = ?, note = ? WHERE id = 1',
    [size, root, time, epoch, note],
  ];
}

function position(row: Row): HeadPosition {
  return {
    log: row['log'] as number,
    size: row['size'] as number,
    time: row['time'] as number,
    epoch: row['epoch'] as number,
  };
}

/** Root of the head, for a process that followed what another appended. */
export async function readRoot(reader: Reader): Promise<Uint8Array | undefined> {
  return (await reader.get('SELECT root FROM ledger_head WHERE id = 1'))?.['root'] as Uint8Array | undefined;
}

/** The stored epoch and the log that it belongs to, or undefined before the log was started. */
export async function readEpoch(reader: Reader): Promise<Pick<Head, 'epoch' | 'log'> | undefined> {
  const row = await reader.get('SELECT epoch, log FROM ledger_head WHERE id = 1');
  return row === undefined ? undefined : { epoch: row['epoch'] as number, log: row['log'] as number };
}
