import { accessSync, closeSync, constants, existsSync, fsyncSync, mkdirSync, openSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { WritError } from '../base/error.ts';

const READ_ONLY = new Set(['EACCES', 'EPERM', 'EROFS']);

/**
 * Makes the file before SQLite would, so that no instant exists at which others could open it; the log and the shared
 * memory file take their mode from it. The names of new directories are made durable with it.
 */
export function createOwnerOnly(path: string): void {
  const folder = dirname(resolve(path));
  try {
    const made = mkdirSync(folder, { recursive: true, mode: 0o700 });
    if (made !== undefined) syncFolder(dirname(made));
    if (!existsSync(path)) {
      closeSync(openSync(path, 'a', 0o600));
      syncFolder(folder);
    }
    accessSync(path, constants.W_OK);
    accessSync(folder, constants.W_OK);
  } catch (error) {
    if (READ_ONLY.has(String((error as NodeJS.ErrnoException).code))) {
      throw new WritError('storage_failed', 'The database file, its directory or its disk is read-only.', {
        field: 'path',
        remedy: 'Make the data directory writable for the user that runs Writ.',
        cause: error,
      });
    }
    throw new WritError('storage_failed', 'The database file cannot be created.', {
      field: 'path',
      remedy: 'Check that the directory can be written by the user that runs Writ and that the disk has space.',
      cause: error,
    });
  }
  if (process.platform !== 'win32' && (statSync(path).mode & 0o077) !== 0) {
    throw new WritError('unsafe_permissions', 'The database file can be opened by others than its owner.', {
      field: 'path',
      remedy: 'Run "chmod 600" on the database file.',
    });
  }
}

function syncFolder(folder: string): void {
  if (process.platform === 'win32') return;
  const descriptor = openSync(folder, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
