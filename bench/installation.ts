import type { MessagePort } from 'node:worker_threads';
import type { Clock } from '../src/base/clock.ts';
import { silentLog } from '../src/base/log.ts';
import { systemRandom } from '../src/base/random.ts';
import { readHierarchy } from '../src/ca/hierarchy.ts';
import { type Config, defaultConfig, readConfig } from '../src/cmd/config/config.ts';
import { type DataDirectory, dataDirectory } from '../src/cmd/data-directory.ts';
import { openEngine } from '../src/cmd/engine.ts';
import { initialise } from '../src/cmd/initialise.ts';
import { ledgerSigners, openLedgerKeys } from '../src/cmd/ledger-keys.ts';
import { withPassphrase } from '../src/cmd/passphrase.ts';
import { openRecorder } from '../src/cmd/recorder.ts';
import { type ThreadParts, threadParts } from '../src/cmd/server/thread-parts.ts';
import { statusUrlOf } from '../src/cmd/status-url.ts';
import type { Database } from '../src/db/database.ts';
import { openKeyring } from '../src/keys/keyring.ts';
import { type EpochCell, epochCell } from '../src/ledger/epoch.ts';
import { serveCommits } from '../src/ledger/port.ts';

/** An installation that is open in this process: the flows of a request thread and the sequencer of the writer. */
export interface Installation {
  readonly directory: DataDirectory;
  readonly database: Database;
  readonly epoch: EpochCell;
  readonly parts: ThreadParts;
  /** Commits what another thread sends through a `commitClient`, as the writer of a server does. */
  serve(port: MessagePort): void;
  close(): Promise<void>;
}

/** Here one instance stands for many: what would hold back a program in a loop is not to be measured. */
const UNLIMITED = { perSecond: 1_000_000, burst: 1_000_000 };

/** Makes an installation in an empty directory, as `writ init` does, at the time that `clock` shows. */
export async function makeInstallation(path: string, clock: Clock, changes: Partial<Config> = {}): Promise<void> {
  const directory = dataDirectory(path);
  await initialise(
    {
      config: { ...defaultConfig('bench.writ.internal', directory.anchor), writeLimit: UNLIMITED, ...changes },
      algorithm: 'ecdsa-p256',
      permitDns: [],
      permitNetworks: [],
      loopback: true,
      externalRoot: false,
    },
    {
      directory,
      passphrase: { kind: 'file', path: directory.passphrase },
      clock,
      random: systemRandom(),
      log: silentLog,
    },
  );
}

/** Opens an installation beside or without a server, as the commands on the server's machine do. */
export async function openInstallation(path: string, clock: Clock): Promise<Installation> {
  const directory = dataDirectory(path);
  const config = readConfig(directory.config);
  const database = await openEngine(config, directory, { readOnly: false });
  const source = { kind: 'file', path: directory.passphrase } as const;
  const keyring = await withPassphrase(source, (passphrase) => openKeyring(database, passphrase));
  const hierarchy = (await readHierarchy(database))!;
  const [random, epoch, log] = [systemRandom(), epochCell(), silentLog];
  const ledgerKeys = ledgerSigners(await openLedgerKeys(database, keyring));
  const recorder = await openRecorder({ config, database, ledgerKeys, clock, random, log, epoch });
  const commit = recorder.commit.bind(recorder);
  const parts = await threadParts({
    reader: database,
    commit,
    keyring,
    hierarchy,
    names: config.names,
    statusUrl: statusUrlOf(config),
    epoch,
    clock,
    random,
    log,
  });
  return {
    directory,
    database,
    epoch,
    parts,
    serve: (port) => serveCommits(port, recorder),
    async close() {
      parts.policy.close();
      await recorder.close();
      await database.close();
    },
  };
}
