import { WritError } from '../base/error.ts';

/** The field of errors whose transaction may or may not have been kept. */
const UNKNOWN = { field: 'commit' } as const;

/** What the server itself says: a five-character SQLSTATE and how grave it is. */
interface ServerError {
  readonly state: string;
  readonly severity: string;
}

/** Undefined for what did not come from the server: a lost connection, a time-out of ours, a refused handshake. */
function serverError(error: unknown): ServerError | undefined {
  if (!(error instanceof Error) || !('code' in error) || !('severity' in error)) return undefined;
  if (typeof error.code !== 'string' || typeof error.severity !== 'string') return undefined;
  return { state: error.code, severity: error.severity };
}

/** True when the connection cannot be used after this error. */
export function losesConnection(error: unknown): boolean {
  const server = serverError(error);
  if (server === undefined) return !(error instanceof WritError);
  // 0A000 here: a prepared statement whose table another version of Writ has changed; only a new connection forgets it.
  return server.severity === 'FATAL' || server.severity === 'PANIC' || server.state === '0A000';
}

/**
 * What an error of a statement means to a caller. `committing` says that it answers COMMIT: when the server itself
 * reports a plain ERROR the transaction was rolled back, whatever else leaves the outcome unknown (field `commit`).
 */
export function postgresError(error: unknown, committing = false): WritError {
  if (error instanceof WritError) return error;
  const server = serverError(error);
  const unknown = committing && losesConnection(error) ? UNKNOWN : {};
  if (server === undefined) {
    return new WritError('storage_failed', 'The connection to the database server was lost.', {
      ...unknown,
      remedy: 'Check that the server runs and can be reached. Writ connects again by itself.',
      cause: error,
    });
  }
  const { state } = server;
  if (state === '23505') return new WritError('conflict', 'A row with the same key exists.', { cause: error });
  if (state.startsWith('23')) {
    return new WritError('internal', 'A row breaks a constraint of its table.', { cause: error });
  }
  const known = STATES.find(([prefix]) => state.startsWith(prefix));
  if (known !== undefined) {
    return new WritError('storage_failed', known[1], { ...unknown, remedy: known[2], cause: error });
  }
  if (unknown === UNKNOWN || server.severity === 'FATAL') {
    return new WritError('storage_failed', 'The database server ended the connection.', { ...unknown, cause: error });
  }
  return new WritError('internal', 'A statement failed in the database.', { cause: error });
}

/** True for the error of a transaction that gave up waiting for a lock. */
export function isLockTimeout(error: unknown): boolean {
  return error instanceof WritError && serverError(error.cause)?.state === '55P03';
}

/** SQLSTATE or its class (PostgreSQL manual, appendix A), what is wrong, what to do. */
const STATES: readonly (readonly [string, string, string])[] = [
  ['53100', 'The disk of the database server is full.', 'Free space there. Writing resumes by itself.'],
  ['53300', 'The database server has no connection left.', 'Raise max_connections or let fewer replicas connect.'],
  ['53', 'The database server lacks memory or another resource.', 'See the log of the server.'],
  ['58', 'The disk of the database server reported an error.', 'See the log of the server.'],
  ['25006', 'The database server is read-only (a standby).', 'Let Writ connect to the primary.'],
  ['40', 'Another transaction was in the way.', 'Try again.'],
  ['55P03', 'Another process has held a lock of the database for too long.', 'See who holds it in pg_locks.'],
  ['57014', 'A statement took too long and was cancelled.', 'See what keeps the database server busy.'],
  ['57P', 'The database server is shutting down or starting.', 'Writ connects again by itself.'],
  ['25P03', 'A transaction stood still for too long and was ended.', 'Try again.'],
  ['08', 'The connection to the database server was lost.', 'Writ connects again by itself.'],
  ['42501', 'The database user may not do that.', 'Make it the owner of the database.'],
];

/** What went wrong while connecting. */
export function connectError(error: unknown): WritError {
  if (error instanceof WritError) return error;
  const server = serverError(error);
  if (server?.state.startsWith('28') === true) {
    return new WritError('bad_config', 'The database server refused this user.', {
      remedy: 'Check the user, the password file and pg_hba.conf on the server.',
      cause: error,
    });
  }
  if (server?.state === '3D000') {
    return new WritError('bad_config', 'The database server has no database of this name.', {
      remedy: 'Create it with "createdb --owner USER NAME".',
      cause: error,
    });
  }
  if (server !== undefined) return postgresError(error);
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (/CERT|ALTNAME|TLS|SSL|SELF_SIGNED|ISSUER|VERIFY/.test(code) || /SSL/.test(String(error))) {
    return new WritError('bad_config', 'No verified TLS connection to the database server could be made.', {
      field: 'tls',
      remedy: 'Name the file of its root certificate, and the server as its certificate does.',
      cause: error,
    });
  }
  return new WritError('storage_failed', 'The database server cannot be reached.', {
    remedy: 'Check that it runs at the configured host and port.',
    cause: error,
  });
}
