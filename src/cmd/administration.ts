import { setTimeout as pause } from 'node:timers/promises';
import { systemClock } from '../base/clock.ts';
import { WritError } from '../base/error.ts';
import type { Log } from '../base/log.ts';
import { systemRandom } from '../base/random.ts';
import { readHierarchy } from '../ca/hierarchy.ts';
import type { Input } from '../cli/command.ts';
import type { Batch, Commit } from '../db/batch.ts';
import type { Database } from '../db/database.ts';
import { migrate } from '../db/migrate.ts';
import { type Keyring, openKeyring } from '../keys/keyring.ts';
import { epochCell } from '../ledger/epoch.ts';
import { type Config, readConfig } from './config/config.ts';
import { type DataDirectory, dataDirectory } from './data-directory.ts';
import { openEngine } from './engine.ts';
import { ledgerSigners, openLedgerKeys } from './ledger-keys.ts';
import { passphraseSource, withPassphrase } from './passphrase.ts';
import { openRecorder } from './recorder.ts';
import { listenOf } from './running.ts';
import { type ThreadParts, threadParts } from './server/thread-parts.ts';
import { statusUrlOf } from './status-url.ts';

/** An installation that an administrator's command has opened with the passphrase, beside the server or without one. */
export interface Administration {
  readonly directory: DataDirectory;
  readonly config: Config;
  readonly database: Database;
  readonly parts: ThreadParts;
  /** As of the sequencer. */
  acceptClock(batch: Batch): Promise<Commit>;
}

export const DATA_FLAG = {
  name: 'data',
  value: 'directory',
  summary: 'data directory',
  default: 'writ-data',
  environment: 'WRIT_DATA',
} as const;

const NOTICED_MS = 250;

/**
 * Opens the installation, calls `act`, and closes it when that has ended. For as long as it is open this process is one
 * more that appends to the ledger. When this resolves, a running server has noticed what was done.
 */
export async function administer<T>(input: Input, log: Log, act: (opened: Administration) => Promise<T>): Promise<T> {
  const directory = dataDirectory(input.flag('data')!);
  const config = readConfig(directory.config);
  const database = await openEngine(config, directory, { readOnly: false });
  try {
    await migrate(database);
    const keyring = await unlock(database, input, directory);
    const hierarchy = await readHierarchy(database);
    if (hierarchy === undefined) throw neverFinished();
    const [clock, random, epoch] = [systemClock, systemRandom(), epochCell()];
    const ledgerKeys = ledgerSigners(await openLedgerKeys(database, keyring));
    const recorder = await openRecorder({ config, database, ledgerKeys, clock, random, log, epoch });
    try {
      const commit = recorder.commit.bind(recorder);
      const { names, massStop } = config;
      const webhooks = config.webhooks.map(({ url }) => url);
      const statusUrl = statusUrlOf({ ...config, listen: listenOf(config, directory) });
      const means = {
        reader: database,
        commit,
        keyring,
        hierarchy,
        names,
        massStop,
        webhooks,
        administrator: true,
        statusUrl,
        epoch,
        clock,
        random,
        log,
      };
      const parts = await threadParts(means);
      const before = epoch.current();
      try {
        const result = await act({
          ...{ directory, config, database, parts },
          acceptClock: (batch) => recorder.acceptClock(batch),
        });
        // What the command then says is in force is so at every server: each polls the epoch more often than this.
        if (epoch.current() !== before) await pause(NOTICED_MS);
        return result;
      } finally {
        parts.policy.close();
      }
    } finally {
      await recorder.close();
    }
  } finally {
    await database.close();
  }
}

/** For commands that need an installation and find one that an interrupted "writ init" left. */
export function neverFinished(): WritError {
  return new WritError('not_found', 'The installation was never finished', {
    field: '--data',
    remedy: 'Run "writ init" or "writ start" again; it goes on where it stopped.',
  });
}

/** Opens the sealed keys with the passphrase that the flags name. */
export function unlock(database: Database, input: Input, directory: DataDirectory): Promise<Keyring> {
  return withPassphrase(passphraseSource(input, directory), (passphrase) => openKeyring(database, passphrase));
}
