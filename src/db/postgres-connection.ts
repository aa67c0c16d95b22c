import { readFileSync, statSync } from 'node:fs';
import type { Client, ClientConfig, CustomTypesConfig, QueryResult } from 'pg';
import { WritError } from '../base/error.ts';
import { Memo } from '../base/memo.ts';
import type { Row, SqlValue } from './database.ts';
import { connectError, losesConnection, postgresError } from './postgres-error.ts';
import { numberPlaceholders } from './sql.ts';

/** Where the server is and how to get in. The environment (`PGHOST` and the like) is never read. */
export interface PostgresOptions {
  /** Host name, address, or the directory of a unix socket. */
  readonly host: string;
  /** Default 5432. */
  readonly port?: number;
  readonly database: string;
  readonly user: string;
  /** A file of mode 0600 with the password alone. Read at every new connection, so that it can change. */
  readonly passwordFile?: string;
  /**
   * The server's certificate is always verified, also its name. Default: the system's roots, and no TLS on a unix socket
   * or a loopback address. `false` sends everything in clear over the network.
   */
  readonly tls?: PostgresTls | false;
  /** The most connections for reading. Default 4. */
  readonly readers?: number;
  /** Milliseconds after which the server gives up on a statement. Default 30 000. */
  readonly statementTimeout?: number;
}

/** PEM files, read at every new connection. */
interface PostgresTls {
  /** Roots to trust instead of the system's. */
  readonly rootFile?: string;
  /** A client certificate and its key. */
  readonly certificateFile?: string;
  readonly keyFile?: string;
}

/** Statements kept prepared on each connection. */
const STATEMENTS = 256;
/** What may be prepared under a name. Definitions and transaction commands are said once and forgotten. */
const PREPARABLE = /^\s*(?:SELECT|INSERT|UPDATE|DELETE|WITH)\b/i;

interface Statement {
  readonly name: string | undefined;
  readonly text: string;
}

/**
 * One connection in pipeline mode: a statement is sent at once, however many answers are outstanding, and the server
 * works on them in order. Rejects with `WritError` only.
 */
export class PostgresConnection {
  readonly #client: Client;
  readonly #statements: Memo<Statement>;
  #names = 0;
  #inFlight = 0;
  #usable = true;

  constructor(client: Client) {
    this.#client = client;
    this.#statements = new Memo<Statement>(STATEMENTS, (statement) => {
      if (statement.name !== undefined) client.query(`DEALLOCATE ${statement.name}`).catch(() => undefined);
    });
    // Without a listener a connection lost while idle would end the process.
    client.on('error', () => this.#lose());
    client.on('end', () => this.#lose());
  }

  /** Opens a connection; `read` ones refuse to write. */
  static async open(options: PostgresOptions, role: 'read' | 'write'): Promise<PostgresConnection> {
    const { Client: PgClient } = (await import('pg')).default;
    try {
      const client = new PgClient(clientConfig(options, role));
      const connection = new PostgresConnection(client);
      await client.connect();
      return connection;
    } catch (error) {
      throw connectError(error);
    }
  }

  /** False once the connection is lost or closed. */
  get usable(): boolean {
    return this.#usable;
  }

  /** Statements that have not been answered. */
  get inFlight(): number {
    return this.#inFlight;
  }

  async rows(sql: string, params: readonly SqlValue[]): Promise<Row[]> {
    return (await this.#query(sql, params)).rows as Row[];
  }

  async run(sql: string, params: readonly SqlValue[]): Promise<number> {
    return (await this.#query(sql, params)).rowCount ?? 0;
  }

  /** Gives what the server says it did: COMMIT of a transaction that failed answers ROLLBACK. */
  async command(text: 'BEGIN' | 'COMMIT' | 'ROLLBACK'): Promise<string> {
    return (await this.#query(text, [])).command;
  }

  async close(): Promise<void> {
    this.#usable = false;
    await this.#client.end().catch(() => undefined);
  }

  async #query(sql: string, params: readonly SqlValue[]): Promise<QueryResult> {
    const { name, text } = this.#statements.get(sql) ?? this.#prepare(sql);
    this.#inFlight++;
    try {
      const values = params as SqlValue[];
      return await this.#client.query(name === undefined ? { text, values } : { name, text, values });
    } catch (error) {
      if (losesConnection(error)) {
        this.#lose();
        this.#client.end().catch(() => undefined);
      }
      throw postgresError(error, sql === 'COMMIT');
    } finally {
      this.#inFlight--;
    }
  }

  #prepare(sql: string): Statement {
    const name = PREPARABLE.test(sql) ? `w${++this.#names}` : undefined;
    return this.#statements.set(sql, { name, text: numberPlaceholders(sql) });
  }

  #lose(): void {
    this.#usable = false;
  }
}

function clientConfig(options: PostgresOptions, role: 'read' | 'write'): ClientConfig {
  const { host, port = 5432, database, user, passwordFile, statementTimeout = 30_000 } = options;
  return {
    host,
    port,
    database,
    user,
    password: () => readPassword(passwordFile),
    ssl: tlsConfig(options),
    sslnegotiation: 'postgres',
    enableChannelBinding: true,
    application_name: 'writ',
    client_encoding: 'UTF8',
    options: `-c default_transaction_read_only=${role === 'read' ? 'on' : 'off'} -c default_transaction_isolation=read\\ committed`,
    pipeline: true,
    types: TYPES,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
    connectionTimeoutMillis: 10_000,
    statement_timeout: statementTimeout,
    lock_timeout: Math.min(10_000, statementTimeout),
    // Frees the log head when a process stops in the middle of a transaction.
    idle_in_transaction_session_timeout: 15_000,
    // The server's own limit answers first, unless the network has swallowed the question.
    query_timeout: statementTimeout + 5_000,
  };
}

function readPassword(file: string | undefined): string {
  if (file === undefined) {
    throw new WritError('bad_config', 'The database server asks for a password, and none is configured.', {
      field: 'passwordFile',
      remedy: 'Put it into a file of mode 0600 and name that file.',
    });
  }
  if ((statSync(file).mode & 0o077) !== 0) {
    throw new WritError('unsafe_permissions', 'The file of the database password can be read by others.', {
      field: 'passwordFile',
      remedy: 'Run "chmod 600" on it.',
    });
  }
  return readFileSync(file, 'utf8').replace(/\r?\n$/, '');
}

function tlsConfig({ host, tls }: PostgresOptions): NonNullable<ClientConfig['ssl']> {
  const near = host.startsWith('/') || host === 'localhost' || host === '::1' || /^127\./.test(host);
  if (tls === false || (tls === undefined && near)) return false;
  const { rootFile, certificateFile, keyFile } = tls ?? {};
  return {
    rejectUnauthorized: true,
    minVersion: 'TLSv1.2',
    ...(rootFile === undefined ? {} : { ca: readFileSync(rootFile) }),
    ...(certificateFile === undefined ? {} : { cert: readFileSync(certificateFile) }),
    ...(keyFile === undefined ? {} : { key: readFileSync(keyFile) }),
  };
}

/** Object identifiers of PostgreSQL's types; they never change. */
const BOOL = 16;
const BYTEA = 17;
const NUMBERS = new Set([20, 21, 23, 26, 700, 701, 1700]);

/** Values as SQLite gives them: numbers, bytes, text; truth as 0 and 1. */
const TYPES: CustomTypesConfig = {
  getTypeParser: ((oid: number) => {
    if (NUMBERS.has(oid)) return toNumber;
    if (oid === BYTEA) return toBytes;
    if (oid === BOOL) return toBit;
    return toText;
  }) as CustomTypesConfig['getTypeParser'],
};

const toText = (text: string): string => text;
const toBit = (text: string): number => (text === 't' ? 1 : 0);

function toNumber(text: string): number {
  const number = Number(text);
  if (Number.isInteger(number) && !Number.isSafeInteger(number)) {
    throw new WritError('internal', 'A number in the database is beyond 2^53.');
  }
  return number;
}

/** `bytea_output` is `hex` unless somebody changed it for this database; anything else is refused, not misread. */
function toBytes(text: string): Uint8Array {
  if (!text.startsWith('\\x')) {
    throw new WritError('bad_config', 'The database server sends bytes in an old format.', {
      remedy: 'Set bytea_output to hex for this database.',
    });
  }
  return Uint8Array.fromHex(text.slice(2));
}
