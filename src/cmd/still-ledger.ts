import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { isWritError, WritError } from '../base/error.ts';
import type { Log } from '../base/log.ts';
import type { Database, Reader } from '../db/database.ts';
import { migrate, missingMigrations } from '../db/migrate.ts';
import { copySqlite } from '../db/sqlite-copy.ts';
import { Anchor, copyAnchor } from '../ledger/anchor.ts';
import { readHead } from '../ledger/head.ts';
import type { Config } from './config/config.ts';
import { type DataDirectory, lockDirectory } from './data-directory.ts';
import { openEngine } from './engine.ts';

/** A ledger that stands still, and the anchor to hold it against. */
export interface StillLedger {
  readonly reader: Reader;
  readonly anchor?: Anchor;
  /** Revocations from this leaf on may not have been in the anchor yet when it was copied. */
  readonly anchoredBefore?: number;
}

export interface LedgerPlace {
  readonly directory: DataDirectory;
  readonly config: Config;
  /** Directory of the anchor, if it is to be looked at. */
  readonly anchor: string | undefined;
  readonly log: Log;
  /** Told why something has to be copied first. */
  readonly copying: (why: string) => void;
}

/** In this time whatever was committed has reached the anchors of all processes, which poll several times as often. */
const ANCHORED_MS = 1000;

/**
 * Calls `act` with the ledger as of one instant, whether or not servers go on writing. While they do, database and
 * anchor cannot be read at the same instant; so the anchor is copied first, which never leads the database, and where it
 * was behind is told. What an older version wrote is brought up to this one in a copy. Throws `newer_version`, and
 * `conflict` for an older one that cannot be copied.
 */
export async function withStillLedger<T>(place: LedgerPlace, act: (ledger: StillLedger) => Promise<T>): Promise<T> {
  const { directory, config, log, copying } = place;
  const { engine } = config.database;
  const anchored = place.anchor !== undefined && existsSync(place.anchor) ? place.anchor : undefined;
  if (engine === 'sqlite' && !isServed(directory)) {
    const reader = await openEngine(config, directory, { readOnly: true });
    try {
      const anchor = anchored === undefined ? {} : { anchor: Anchor.reading(anchored, log) };
      if ((await missingMigrations(reader)) === 0) return await act({ reader, ...anchor });
    } finally {
      await reader.close();
    }
  }
  const scratch = mkdtempSync(join(tmpdir(), 'writ-verify-'));
  try {
    const live = await openEngine(config, directory, { readOnly: true });
    try {
      const older = (await missingMigrations(live)) > 0;
      if (older && engine === 'postgres') {
        throw new WritError('conflict', 'The database is of an older version of Writ', {
          field: '--data',
          remedy: 'Start this version on it once, or verify with the one that made it.',
        });
      }
      const copied = anchored === undefined ? {} : await copyOf(live, anchored, scratch, log);
      if (engine === 'postgres') return await live.snapshot((reader) => act({ reader, ...copied }));
      copying(older ? 'an older version wrote it' : 'a server runs on it');
      const database = join(scratch, 'writ.db');
      copySqlite(directory.database, database);
      if (older) await bringUp(config, database);
      const reader = await openEngine(config, { database }, { readOnly: true });
      return await closing(reader, act({ reader, ...copied }));
    } finally {
      await live.close();
    }
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

async function bringUp(config: Config, copy: string): Promise<void> {
  const database = await openEngine(config, { database: copy }, { readOnly: false });
  await closing(database, migrate(database));
}

async function closing<T>(database: Database, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } finally {
    await database.close();
  }
}

/** True while a server of this machine has the data directory. */
function isServed(directory: DataDirectory): boolean {
  if (!existsSync(join(directory.path, 'lock'))) return false;
  try {
    lockDirectory(directory).release();
    return false;
  } catch (error) {
    if (isWritError(error, 'locked')) return true;
    throw error;
  }
}

async function copyOf(
  live: Reader,
  anchored: string,
  scratch: string,
  log: Log,
): Promise<Required<Pick<StillLedger, 'anchor' | 'anchoredBefore'>>> {
  const anchoredBefore = (await readHead(live))?.size ?? 0;
  await pause(ANCHORED_MS);
  const copy = join(scratch, 'anchor');
  await copyAnchor(anchored, copy);
  return { anchor: Anchor.reading(copy, log), anchoredBefore };
}
