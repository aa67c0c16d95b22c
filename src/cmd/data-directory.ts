import { chmodSync, existsSync, mkdirSync, readdirSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { WritError } from '../base/error.ts';
import { isBusy, sqliteError } from '../db/sqlite-error.ts';

/**
 * Where an installation lies. The three siblings are apart on purpose: a copy of the data directory holds neither the
 * passphrase that opens its keys, nor the anchor that would tell that the copy is old, nor an operator's credential.
 */
export interface DataDirectory {
  readonly path: string;
  readonly config: string;
  /** The configuration while `writ restore` is at work. */
  readonly restoring: string;
  readonly database: string;
  readonly anchor: string;
  readonly passphrase: string;
  readonly operator: string;
}

/** The paths below and beside `path`; touches nothing. */
export function dataDirectory(path: string): DataDirectory {
  const at = resolve(path);
  return {
    path: at,
    config: join(at, 'config.json'),
    restoring: join(at, 'config.json.restoring'),
    database: join(at, 'writ.db'),
    anchor: `${at}-anchor`,
    passphrase: `${at}-passphrase`,
    operator: `${at}-operator`,
  };
}

/** True when `writ init` has been here. */
export function isInitialised(directory: DataDirectory): boolean {
  return existsSync(directory.config);
}

/**
 * Makes the directory owner-only, or checks that it is. Refuses (`unsafe_permissions`) one that others can enter,
 * (`bad_config`) one that holds somebody else's files, and (`conflict`), unless for a restore, one that is half restored.
 */
export function prepareDirectory(directory: DataDirectory, { restoring = false }: { restoring?: boolean } = {}): void {
  mkdirSync(directory.path, { recursive: true, mode: 0o700 });
  if (!restoring && existsSync(directory.restoring)) {
    throw new WritError('conflict', 'A restore into the data directory was cut off', {
      field: '--data',
      remedy: `Run "writ restore" again; it begins anew in ${directory.path}.`,
    });
  }
  if (!isInitialised(directory) && !existsSync(directory.database)) {
    const foreign = readdirSync(directory.path).filter((name) => !OURS.test(name));
    if (foreign.length > 0) {
      throw new WritError('bad_config', 'The data directory is not empty and holds no Writ installation', {
        field: '--data',
        remedy: `Name an empty directory; ${directory.path} holds ${foreign.length} other files.`,
      });
    }
    chmodSync(directory.path, 0o700);
  }
  const others = statSync(directory.path).mode & 0o077;
  if (others !== 0) {
    throw new WritError('unsafe_permissions', 'Others than its owner can open the data directory', {
      field: '--data',
      remedy: `chmod 700 ${directory.path}`,
    });
  }
}

/** What a first start or a restore that was cut off can have left: the lock, and files that did not get their names yet. */
const OURS = /^(lock(-journal)?|config\.json\.([0-9a-f-]{36}|restoring)|writ\.db\.new)$/;

/**
 * Holds the directory for one server. The lock is one of the operating system on an empty SQLite file, so it goes with
 * the process, however that ends. A second server gets `locked`.
 */
export function lockDirectory(directory: DataDirectory): { release(): void } {
  const path = join(directory.path, 'lock');
  let lock: DatabaseSync | undefined;
  try {
    lock = new DatabaseSync(path);
    lock.exec('PRAGMA busy_timeout = 0; PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE');
  } catch (cause) {
    lock?.close();
    if (!isBusy(cause)) throw sqliteError(cause);
    throw new WritError('locked', 'Another server runs on this data directory', {
      field: '--data',
      remedy: `Stop it first, or name another directory; ${directory.path} is in use.`,
      cause,
    });
  }
  const held = lock;
  chmodSync(path, 0o600);
  return { release: () => held.close() };
}
