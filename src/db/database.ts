/**
 * What the two engines have in common. `db/` knows connections, transactions, migrations and partitions, and no
 * table's meaning.
 *
 * SQL is written once, in the subset that SQLite and PostgreSQL share:
 * - `?` placeholders (PostgreSQL gets `$n`); one whose type nothing tells is written `CAST(? AS BIGINT)`.
 * - Column types in capitals: `BIGINT`, `TEXT` and `BLOB` (PostgreSQL gets `BYTEA`); `INTEGER PRIMARY KEY` for a number
 *   that the writer gives and that orders the rows (SQLite's row number, `BIGINT` on PostgreSQL); `WITHOUT ROWID` where
 *   SQLite gains by it. No booleans (0 and 1), times as integer milliseconds. Text sorts by code point.
 * - `ON CONFLICT`, `RETURNING`; `SELECT … FOR UPDATE` at the end of a text (SQLite, whose transactions exclude each
 *   other anyway, drops it).
 */
export type SqlValue = null | number | string | Uint8Array;

/** Numbers come back as numbers (always within ±2^53), bytes as `Uint8Array`. */
export type Row = Readonly<Record<string, SqlValue>>;

/** Outside a transaction a read sees what is committed, each statement by itself, and can write nothing. */
export interface Reader {
  all(sql: string, params?: readonly SqlValue[]): Promise<Row[]>;
  get(sql: string, params?: readonly SqlValue[]): Promise<Row | undefined>;
}

/**
 * Statements may be issued without waiting for the one before: they run in order, and PostgreSQL gets them in one go
 * (`await Promise.all(writes.map(...))`). Once a statement has failed the transaction can only roll back, on both
 * engines. A row that would repeat a unique key rejects with `conflict`.
 */
export interface Transaction extends Reader {
  /** Runs one statement and gives the number of rows it changed. */
  run(sql: string, params?: readonly SqlValue[]): Promise<number>;
}

export interface Database extends Reader {
  readonly engine: 'sqlite' | 'postgres';
  /**
   * One write transaction: SQLite `BEGIN IMMEDIATE`, PostgreSQL `READ COMMITTED`. Commits when `work` resolves, durable
   * by then; rolls back when it rejects, and rejects with the same error. Calls queue: one runs at a time per `Database`.
   * A commit whose outcome is unknown rejects with `storage_failed` and `field: 'commit'`; the caller must treat the
   * database as unknown and start again from what is stored.
   */
  transaction<T>(work: (tx: Transaction) => Promise<T>, options?: TransactionOptions): Promise<T>;
  /**
   * Reads that all see what was committed at one instant, that of the first of them, on a connection of their own. For
   * questions that must not see the halves of an act; others go on writing meanwhile. Also where opened for reading.
   */
  snapshot<T>(read: (reader: Reader) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

export interface TransactionOptions {
  /**
   * For chores that may take long and that nobody waits for: on PostgreSQL outside the queue, on a connection of its own;
   * on SQLite, which has one writer, like any other.
   */
  readonly aside?: boolean;
}
