import { WritError } from '../base/error.ts';
import type { Database, Reader, Row, SqlValue, Transaction, TransactionOptions } from './database.ts';
import { PostgresConnection, type PostgresOptions } from './postgres-connection.ts';
import { Queue } from './queue.ts';

/** The oldest server that is tested (`server_version_num`). CockroachDB and YugabyteDB call themselves at least this. */
const OLDEST = 130_000;

/**
 * Connects to PostgreSQL, or to an engine that speaks its protocol. Rejects with `unsafe_database` when a crash of the
 * server could lose what it has acknowledged, with `bad_config` when it refuses us or is too old, and with
 * `storage_failed` when it cannot be reached.
 *
 * One connection, made again when it is lost, carries all transactions; a few others, made as they are needed, carry the
 * reads. With `readOnly` there is no connection for transactions, and `transaction` rejects.
 */
export async function openPostgres(options: PostgresOptions & { readonly readOnly?: boolean }): Promise<Database> {
  const database = new Postgres(options, options.readOnly === true);
  try {
    await database.connect();
  } catch (error) {
    await database.close();
    throw error;
  }
  return database;
}

class Postgres implements Database {
  readonly engine = 'postgres';
  readonly #options: PostgresOptions;
  readonly #readOnly: boolean;
  readonly #queue = new Queue();
  readonly #aside = new Queue();
  readonly #most: number;
  #writer: PostgresConnection | undefined;
  #readers: PostgresConnection[] = [];
  #opening: Promise<PostgresConnection> | undefined;
  #closed = false;

  constructor(options: PostgresOptions, readOnly: boolean) {
    this.#options = options;
    this.#readOnly = readOnly;
    this.#most = options.readers ?? 4;
  }

  async connect(): Promise<void> {
    if (this.#readOnly) await this.#openReader();
    else this.#writer = await this.#openWriter();
  }

  all(sql: string, params: readonly SqlValue[] = []): Promise<Row[]> {
    return this.#read((connection) => connection.rows(sql, params));
  }

  async get(sql: string, params: readonly SqlValue[] = []): Promise<Row | undefined> {
    return (await this.all(sql, params))[0];
  }

  transaction<T>(work: (tx: Transaction) => Promise<T>, options: TransactionOptions = {}): Promise<T> {
    if (this.#readOnly) {
      return Promise.reject(new WritError('storage_failed', 'The database was opened for reading only.'));
    }
    return options.aside === true
      ? this.#aside.run(() => this.#transactAside(work))
      : this.#queue.run(() => this.#transactInTurn(work));
  }

  async snapshot<T>(read: (reader: Reader) => Promise<T>): Promise<T> {
    if (this.#closed) throw closed();
    const connection = await PostgresConnection.open(this.#options, 'read');
    try {
      return await this.#transact(connection, async (tx) => {
        await tx.run('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ');
        return read(tx);
      });
    } finally {
      await connection.close();
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([this.#queue.idle(), this.#aside.idle()]);
    await this.#opening?.catch(() => undefined);
    await Promise.all([this.#writer, ...this.#readers].map(async (connection) => connection?.close()));
  }

  async #transactInTurn<T>(work: (tx: Transaction) => Promise<T>): Promise<T> {
    if (this.#closed) throw closed();
    if (this.#writer?.usable !== true) this.#writer = await this.#openWriter();
    return this.#transact(this.#writer, work);
  }

  async #transactAside<T>(work: (tx: Transaction) => Promise<T>): Promise<T> {
    if (this.#closed) throw closed();
    const connection = await this.#openWriter();
    try {
      return await this.#transact(connection, work);
    } finally {
      await connection.close();
    }
  }

  async #transact<T>(connection: PostgresConnection, work: (tx: Transaction) => Promise<T>): Promise<T> {
    const tx = new PostgresTransaction(connection);
    let result: T;
    try {
      result = await work(tx);
      await tx.end();
    } catch (error) {
      await tx.abandon();
      throw error;
    }
    if ((await connection.command('COMMIT')) !== 'COMMIT') {
      throw new WritError('storage_failed', 'The database server rolled the transaction back.');
    }
    return result;
  }

  /** Reads change nothing, so one that loses its connection is asked once more on another. */
  async #read<T>(read: (connection: PostgresConnection) => Promise<T>): Promise<T> {
    const connection = await this.#reader();
    try {
      return await read(connection);
    } catch (error) {
      if (connection.usable) throw error;
      return read(await this.#reader());
    }
  }

  async #reader(): Promise<PostgresConnection> {
    if (this.#closed) throw closed();
    this.#readers = this.#readers.filter((connection) => connection.usable);
    let best: PostgresConnection | undefined;
    for (const connection of this.#readers) {
      if (best === undefined || connection.inFlight < best.inFlight) best = connection;
    }
    if (best?.inFlight === 0) return best;
    if (this.#opening !== undefined) return best ?? this.#opening;
    if (best !== undefined && this.#readers.length >= this.#most) return best;
    return this.#openReader();
  }

  async #openReader(): Promise<PostgresConnection> {
    this.#opening = PostgresConnection.open(this.#options, 'read');
    try {
      const connection = await this.#opening;
      this.#readers.push(connection);
      return connection;
    } finally {
      this.#opening = undefined;
    }
  }

  async #openWriter(): Promise<PostgresConnection> {
    const connection = await PostgresConnection.open(this.#options, 'write');
    try {
      await refuseUnsafe(connection);
    } catch (error) {
      await connection.close();
      throw error;
    }
    return connection;
  }
}

class PostgresTransaction implements Transaction {
  readonly #connection: PostgresConnection;
  readonly #pending = new Set<Promise<unknown>>();
  #begun: Promise<unknown> | undefined;
  #waiting = false;
  #open = true;
  #failure: unknown;

  constructor(connection: PostgresConnection) {
    this.#connection = connection;
    this.#begun = this.#track(connection.command('BEGIN'));
    this.#begun.then(
      () => {
        this.#begun = undefined;
      },
      () => connection.close(),
    );
  }

  all(sql: string, params: readonly SqlValue[] = []): Promise<Row[]> {
    if (!this.#open) return Promise.reject(ended());
    return this.#send(sql, () => this.#connection.rows(sql, params));
  }

  async get(sql: string, params: readonly SqlValue[] = []): Promise<Row | undefined> {
    return (await this.all(sql, params))[0];
  }

  run(sql: string, params: readonly SqlValue[] = []): Promise<number> {
    if (!this.#open) return Promise.reject(ended());
    return this.#send(sql, () => this.#connection.run(sql, params));
  }

  /**
   * Reads are sent together with BEGIN. A write waits for its answer, because without a transaction it would be
   * committed by itself; whatever comes behind such a write waits, too.
   */
  #send<T>(sql: string, statement: () => Promise<T>): Promise<T> {
    if (this.#begun === undefined) return this.#track(statement());
    this.#waiting ||= !/^\s*SELECT\b/i.test(sql);
    if (!this.#waiting) return this.#track(statement());
    return this.#track(this.#begun.then(statement));
  }

  /** No statement may follow. Rejects with the first failure, when there was one. */
  async end(): Promise<void> {
    this.#open = false;
    await Promise.allSettled(this.#pending);
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Rolls back. When that cannot be done the connection goes, and the server rolls back for it. */
  async abandon(): Promise<void> {
    this.#open = false;
    await Promise.allSettled(this.#pending);
    if (!this.#connection.usable) return;
    await this.#connection.command('ROLLBACK').catch(() => this.#connection.close());
  }

  /** After one failure the server refuses all that follows; every caller is told the first. */
  async #track<T>(answer: Promise<T>): Promise<T> {
    this.#pending.add(answer);
    try {
      return await answer;
    } catch (error) {
      this.#failure ??= error;
      throw this.#failure;
    } finally {
      this.#pending.delete(answer);
    }
  }
}

/**
 * Settings without which an acknowledged commit can be lost, and what a crash does to them: `fsync` off loses or tears
 * anything, `synchronous_commit` off loses the last commits, `full_page_writes` off tears pages.
 */
const SAFE = ['fsync', 'synchronous_commit', 'full_page_writes'];

async function refuseUnsafe(connection: PostgresConnection): Promise<void> {
  const rows = await connection.rows(
    "SELECT name, setting FROM pg_settings WHERE name IN ('fsync', 'synchronous_commit', 'full_page_writes', " +
      "'server_version_num', 'server_encoding')",
    [],
  );
  const settings = new Map(rows.map((row) => [row['name'], row['setting']]));
  const unsafe = SAFE.filter((name) => settings.get(name) === 'off');
  if (unsafe.length > 0) {
    throw new WritError('unsafe_database', `The database server runs with ${unsafe.join(' and ')} off.`, {
      field: unsafe[0]!,
      remedy: `Run ${unsafe.map((name) => `"ALTER SYSTEM SET ${name} = on"`).join(', ')}, look for the setting on the role and the database too, and reload the server.`,
    });
  }
  if (Number(settings.get('server_version_num') ?? OLDEST) < OLDEST) {
    throw new WritError('bad_config', `The database server is older than PostgreSQL ${OLDEST / 10_000}.`, {
      remedy: 'Upgrade it.',
    });
  }
  if ((settings.get('server_encoding') ?? 'UTF8') !== 'UTF8') {
    throw new WritError('bad_config', 'The database does not hold its text as UTF-8.', {
      remedy: 'Create it with "createdb --encoding UTF8 --template template0".',
    });
  }
}

function ended(): WritError {
  return new WritError('internal', 'A statement came after the end of its transaction.');
}

function closed(): WritError {
  return new WritError('unavailable', 'The database is closed.');
}
