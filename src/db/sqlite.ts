import { existsSync } from 'node:fs';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { WritError } from '../base/error.ts';
import { Memo } from '../base/memo.ts';
import type { Database, Reader, Row, SqlValue, Transaction } from './database.ts';
import { Queue } from './queue.ts';
import { busyError, isBusy, sqliteError } from './sqlite-error.ts';
import { createOwnerOnly } from './sqlite-file.ts';

export interface SqliteOptions {
  /** The database file. It and its directory are made when they are missing, for their owner alone. */
  readonly path: string;
  /** Opens an existing file for reading. `transaction` rejects then. */
  readonly readOnly?: boolean;
  /**
   * How long, in milliseconds, a transaction waits for one of another process (an administrator's command beside the
   * server). The thread goes on with other work meanwhile. Default 10 000.
   */
  readonly busyTimeout?: number;
}

/** Prepared statements kept for each connection. */
const STATEMENTS = 512;

const BUSY_TIMEOUT = 10_000;

/**
 * Opens the embedded engine: WAL, and every commit waits until the disk has it (`synchronous=FULL`; Node's SQLite calls
 * `fsync`, not `fdatasync`).
 *
 * SQLite works on the calling thread, so each call is done when it returns and the promises are resolved already:
 * awaiting one costs a microtask, never a turn of the event loop. Reads outside a transaction go through a connection
 * of their own and see what is committed, also while a transaction is open.
 */
export function openSqlite(options: SqliteOptions): Database {
  return options.readOnly === true ? new ReadOnlySqlite(options) : new Sqlite(options);
}

/** One SQLite connection with its prepared statements. Every call answers at once. */
class Connection {
  readonly database: DatabaseSync;
  readonly #statements = new Memo<StatementSync>(STATEMENTS);

  constructor(options: SqliteOptions, readOnly: boolean) {
    const { path, busyTimeout = BUSY_TIMEOUT } = options;
    try {
      this.database = new DatabaseSync(path, { readOnly, timeout: busyTimeout });
    } catch (error) {
      throw sqliteError(error);
    }
  }

  all(sql: string, params: readonly SqlValue[]): Row[] {
    return this.#statement(sql).all(...params) as Row[];
  }

  get(sql: string, params: readonly SqlValue[]): Row | undefined {
    return this.#statement(sql).get(...params) as Row | undefined;
  }

  run(sql: string, params: readonly SqlValue[]): number {
    return Number(this.#statement(sql).run(...params).changes);
  }

  /** The whole database is locked for writing from BEGIN IMMEDIATE on; there are no row locks to ask for. */
  prepare(sql: string): StatementSync {
    return this.database.prepare(sql.replace(/\s+FOR UPDATE\s*$/i, ''));
  }

  close(): void {
    this.#statements.clear();
    if (this.database.isOpen) this.database.close();
  }

  #statement(sql: string): StatementSync {
    return this.#statements.get(sql) ?? this.#statements.set(sql, this.prepare(sql));
  }
}

class ReadOnlySqlite implements Database {
  readonly engine = 'sqlite';
  readonly #options: SqliteOptions;
  readonly #connection: Connection;

  constructor(options: SqliteOptions) {
    this.#options = options;
    if (!existsSync(options.path)) {
      throw new WritError('bad_config', 'There is no database at this place.', {
        field: 'path',
        remedy: 'Name the data directory of an initialised authority.',
      });
    }
    this.#connection = new Connection(options, true);
    try {
      this.#connection.database.exec('PRAGMA cache_size=-16384; PRAGMA trusted_schema=OFF');
    } catch (error) {
      this.#connection.close();
      throw sqliteError(error);
    }
  }

  all(sql: string, params: readonly SqlValue[] = []): Promise<Row[]> {
    try {
      return Promise.resolve(this.#connection.all(sql, params));
    } catch (error) {
      return Promise.reject(sqliteError(error));
    }
  }

  get(sql: string, params: readonly SqlValue[] = []): Promise<Row | undefined> {
    try {
      return Promise.resolve(this.#connection.get(sql, params));
    } catch (error) {
      return Promise.reject(sqliteError(error));
    }
  }

  transaction<T>(): Promise<T> {
    return Promise.reject(new WritError('storage_failed', 'The database was opened for reading only.'));
  }

  snapshot<T>(read: (reader: Reader) => Promise<T>): Promise<T> {
    return readSnapshot(this.#options, read);
  }

  close(): Promise<void> {
    this.#connection.close();
    return Promise.resolve();
  }
}

class Sqlite implements Database {
  readonly engine = 'sqlite';
  readonly #writer: Connection;
  readonly #options: SqliteOptions;
  readonly #queue = new Queue();
  #reader: ReadOnlySqlite | undefined;
  #closed = false;

  constructor(options: SqliteOptions) {
    this.#options = options;
    createOwnerOnly(options.path);
    this.#writer = new Connection(options, false);
    try {
      prepareForWriting(this.#writer.database, options.busyTimeout ?? BUSY_TIMEOUT);
    } catch (error) {
      this.#writer.close();
      throw sqliteError(error);
    }
  }

  all(sql: string, params: readonly SqlValue[] = []): Promise<Row[]> {
    return this.#read((reader) => reader.all(sql, params));
  }

  get(sql: string, params: readonly SqlValue[] = []): Promise<Row | undefined> {
    return this.#read((reader) => reader.get(sql, params));
  }

  transaction<T>(work: (tx: Transaction) => Promise<T>): Promise<T> {
    return this.#queue.run(() => this.#transact(work));
  }

  async snapshot<T>(read: (reader: Reader) => Promise<T>): Promise<T> {
    if (this.#closed) throw closed();
    return readSnapshot(this.#options, read);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#queue.idle();
    await this.#reader?.close();
    // The last connection to close moves the log into the database file and removes it.
    this.#writer.close();
  }

  #read<T>(read: (reader: ReadOnlySqlite) => Promise<T>): Promise<T> {
    if (this.#closed) return Promise.reject(closed());
    try {
      this.#reader ??= new ReadOnlySqlite(this.#options);
    } catch (error) {
      return Promise.reject(error);
    }
    return read(this.#reader);
  }

  async #transact<T>(work: (tx: Transaction) => Promise<T>): Promise<T> {
    if (this.#closed) throw closed();
    const tx = new SqliteTransaction(this.#writer);
    if (!this.#begin()) await this.#waitToBegin();
    let result: T;
    try {
      result = await work(tx);
      tx.end();
    } catch (error) {
      tx.abandon();
      this.#rollback();
      throw error;
    }
    try {
      this.#writer.run('COMMIT', []);
    } catch (error) {
      this.#rollback();
      throw sqliteError(error, true);
    }
    return result;
  }

  /** False while another connection holds the write lock. */
  #begin(): boolean {
    try {
      this.#writer.run('BEGIN IMMEDIATE', []);
      return true;
    } catch (error) {
      if (isBusy(error)) return false;
      throw sqliteError(error);
    }
  }

  /**
   * SQLite would wait by stopping the thread; then a transaction of this thread on another connection could never end.
   * Nobody queues for the lock: against a process that commits without a pause, only looking often finds it free.
   */
  async #waitToBegin(): Promise<void> {
    const until = performance.now() + (this.#options.busyTimeout ?? BUSY_TIMEOUT);
    for (let pause = 1; ; pause = Math.min(pause * 2, 5)) {
      await sleep(pause);
      if (this.#begin()) return;
      if (performance.now() > until) throw busyError();
    }
  }

  #rollback(): void {
    // SQLite rolls back by itself after some errors (disk full, input or output).
    if (this.#writer.database.isTransaction) this.#writer.run('ROLLBACK', []);
  }
}

class SqliteTransaction implements Transaction {
  readonly #connection: Connection;
  #open = true;
  #failure: WritError | undefined;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  all(sql: string, params: readonly SqlValue[] = []): Promise<Row[]> {
    if (!this.#open) return Promise.reject(ended());
    try {
      return Promise.resolve(this.#connection.all(sql, params));
    } catch (error) {
      return this.#fail(error);
    }
  }

  get(sql: string, params: readonly SqlValue[] = []): Promise<Row | undefined> {
    if (!this.#open) return Promise.reject(ended());
    try {
      return Promise.resolve(this.#connection.get(sql, params));
    } catch (error) {
      return this.#fail(error);
    }
  }

  run(sql: string, params: readonly SqlValue[] = []): Promise<number> {
    if (!this.#open) return Promise.reject(ended());
    try {
      return Promise.resolve(this.#connection.run(sql, params));
    } catch (error) {
      return this.#fail(error);
    }
  }

  /** No statement may follow. Throws when one failed: as on PostgreSQL, such a transaction can only roll back. */
  end(): void {
    this.#open = false;
    if (this.#failure !== undefined) throw this.#failure;
  }

  abandon(): void {
    this.#open = false;
  }

  #fail(error: unknown): Promise<never> {
    const failure = sqliteError(error);
    this.#failure ??= failure;
    return Promise.reject(failure);
  }
}

/** A read transaction that is never committed: whatever it sees stays until the connection is closed. */
async function readSnapshot<T>(options: SqliteOptions, read: (reader: Reader) => Promise<T>): Promise<T> {
  const connection = new ReadOnlySqlite(options);
  try {
    await connection.all('BEGIN');
    return await read(connection);
  } finally {
    await connection.close();
  }
}

function prepareForWriting(database: DatabaseSync, timeout: number): void {
  // Before the first page is written. Pages of 8 KiB hold five ledger entries to one, where a quarter of a 4 KiB page
  // stays empty, and a commit costs a fifth less.
  database.exec('PRAGMA page_size=8192');
  // While two processes open a new file, SQLite gives up at once here instead of waiting.
  const until = performance.now() + timeout;
  for (;;) {
    try {
      database.exec('PRAGMA journal_mode=WAL');
      break;
    } catch (error) {
      if (!isBusy(error) || performance.now() > until) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    }
  }
  database.exec(
    'PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=4000; PRAGMA cache_size=-65536; PRAGMA temp_store=MEMORY; ' +
      'PRAGMA journal_size_limit=67108864; PRAGMA trusted_schema=OFF; PRAGMA busy_timeout=0',
  );
}

function ended(): WritError {
  return new WritError('internal', 'A statement came after the end of its transaction.');
}

function closed(): WritError {
  return new WritError('unavailable', 'The database is closed.');
}
