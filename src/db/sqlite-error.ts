import { WritError } from '../base/error.ts';

/** Primary result codes of SQLite (https://sqlite.org/rescode.html). */
const BUSY = 5;
const LOCKED = 6;
const READONLY = 8;
const IOERR = 10;
const CORRUPT = 11;
const FULL = 13;
const CANTOPEN = 14;
const CONSTRAINT = 19;
const NOTADB = 26;
/** Extended codes: a unique index or primary key would hold the same value twice. */
const CONSTRAINT_PRIMARYKEY = 1555;
const CONSTRAINT_UNIQUE = 2067;
const CONSTRAINT_ROWID = 2579;

/** The result code of an error thrown by `node:sqlite`, undefined for any other. */
function resultCode(error: unknown): number | undefined {
  if (!(error instanceof Error) || !('errcode' in error)) return undefined;
  return typeof error.errcode === 'number' ? error.errcode : undefined;
}

/** True when another connection was in the way. */
export function isBusy(error: unknown): boolean {
  return ((resultCode(error) ?? 0) & 0xff) === BUSY;
}

export function busyError(cause?: unknown): WritError {
  return new WritError('storage_failed', 'Another process has held the write lock of the database for too long.', {
    remedy: 'See which process has the data directory open, and let it finish.',
    ...(cause === undefined ? {} : { cause }),
  });
}

/**
 * What an error of `node:sqlite` means to a caller. `committing` says that COMMIT itself failed: an input or output
 * error there leaves open whether the commit record reached the disk, so the error's field is `commit` (unknown);
 * after a full disk or a lock it is certain that it did not.
 */
export function sqliteError(error: unknown, committing = false): WritError {
  if (error instanceof WritError) return error;
  const extended = resultCode(error);
  if (extended === undefined) return new WritError('internal', 'A statement failed in the database.', { cause: error });
  switch (extended & 0xff) {
    case FULL:
      return new WritError('storage_failed', 'The disk that holds the database is full.', {
        remedy: 'Free space on that disk. Writing resumes by itself.',
        cause: error,
      });
    case READONLY:
      return new WritError('storage_failed', 'The database file or its disk is read-only.', {
        remedy: 'Make the data directory writable for the user that runs Writ.',
        cause: error,
      });
    case IOERR:
      return new WritError('storage_failed', 'The disk that holds the database reported an error.', {
        remedy: 'Check the disk and the system log, then restart Writ.',
        ...(committing ? { field: 'commit' } : {}),
        cause: error,
      });
    case CANTOPEN:
      return new WritError('storage_failed', 'The database file cannot be opened.', {
        remedy: 'Check that the data directory exists and belongs to the user that runs Writ.',
        cause: error,
      });
    case BUSY:
    case LOCKED:
      return busyError(error);
    case CORRUPT:
      return new WritError('storage_failed', 'The database file is damaged.', {
        remedy: 'Stop Writ and restore a backup.',
        ...(committing ? { field: 'commit' } : {}),
        cause: error,
      });
    case NOTADB:
      return new WritError('bad_config', 'The database file is not an SQLite database.', {
        remedy: 'Name the data directory that Writ made.',
        cause: error,
      });
    case CONSTRAINT:
      if (extended === CONSTRAINT_PRIMARYKEY || extended === CONSTRAINT_UNIQUE || extended === CONSTRAINT_ROWID) {
        return new WritError('conflict', 'A row with the same key exists.', { cause: error });
      }
      return new WritError('internal', 'A row breaks a constraint of its table.', { cause: error });
    default:
      return new WritError('internal', 'A statement failed in the database.', { cause: error });
  }
}
