import { chmodSync, closeSync, fsyncSync, openSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { sqliteError } from './sqlite-error.ts';

/**
 * Copies a database as of one instant into a new file, compacted, owner-only and durable when this returns. Writers are
 * not held up. Throws `storage_failed` when there is no room, or when the source is damaged.
 */
export function copySqlite(from: string, to: string): void {
  try {
    const source = new DatabaseSync(from, { readOnly: true, timeout: 10_000 });
    try {
      source.prepare('VACUUM INTO ?').run(to);
    } finally {
      source.close();
    }
    chmodSync(to, 0o600);
    const file = openSync(to, 'r');
    try {
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
  } catch (error) {
    throw sqliteError(error);
  }
}
