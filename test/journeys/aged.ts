/**
 * A server in this process, over an installation that was made long ago: what falls due by itself happens when the
 * test says so, while everything that clients see is of this moment.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { manualClock } from '../../src/base/clock.ts';
import { silentLog } from '../../src/base/log.ts';
import { systemRandom } from '../../src/base/random.ts';
import { type Hierarchy, readHierarchy } from '../../src/ca/hierarchy.ts';
import { type Config, defaultConfig } from '../../src/cmd/config/config.ts';
import { type DataDirectory, dataDirectory, prepareDirectory } from '../../src/cmd/data-directory.ts';
import { openEngine } from '../../src/cmd/engine.ts';
import { initialise } from '../../src/cmd/initialise.ts';
import { openLedgerKeys } from '../../src/cmd/ledger-keys.ts';
import { FollowedKeyring } from '../../src/cmd/server/followed-keyring.ts';
import { loadThreads, startServer } from '../../src/cmd/server/server.ts';
import { openKeyring } from '../../src/keys/keyring.ts';
import { readPassphrase } from '../../src/keys/passphrase-source.ts';
import { cli, type Said } from '../server.ts';

const DAY_MS = 86_400_000;

export interface Aged {
  readonly directory: DataDirectory;
  readonly config: Config;
  /** Throw-away directory that holds everything. */
  readonly scratch: string;
  /** Runs a command line on the server's machine. */
  cli(...argv: string[]): Promise<Said>;
  /** Has something done before the files go. */
  atEnd(end: () => Promise<void>): void;
}

/** Makes an installation as of so many days ago. Files are removed after the tests of this file. */
export async function agedInstallation(days: number, options: { readonly rootKeyOut?: string } = {}): Promise<Aged> {
  const scratch = mkdtempSync(join(tmpdir(), 'writ-aged-'));
  const ends: (() => Promise<void>)[] = [];
  after(async () => {
    for (const end of ends) await end();
    rmSync(scratch, { recursive: true, force: true, maxRetries: 5 });
  });
  const directory = dataDirectory(join(scratch, 'writ-data'));
  prepareDirectory(directory);
  const listen = { api: '127.0.0.1:0', public: '127.0.0.1:0', plain: '127.0.0.1:0' };
  const config: Config = {
    ...defaultConfig('agents.example.com', directory.anchor),
    ...{ listen, requestThreads: 1, logLevel: 'warn' },
  };
  const rootKeyOut = options.rootKeyOut === undefined ? {} : { rootKeyOut: join(scratch, options.rootKeyOut) };
  await initialise(
    { config, algorithm: 'ecdsa-p256', permitDns: [], permitNetworks: [], ...rootKeyOut, ...SCOPE },
    {
      directory,
      passphrase: { kind: 'file', path: directory.passphrase },
      clock: manualClock(Date.now() - days * DAY_MS),
      random: systemRandom(),
      log: silentLog,
    },
  );
  return {
    ...{ directory, config, scratch, cli: (...argv: string[]) => cli(argv, { data: directory.path }) },
    atEnd: (end) => void ends.push(end),
  };
}

const SCOPE = { loopback: true, externalRoot: false } as const;

export interface AgedServer {
  /** `https://host:port`. */
  readonly api: string;
  readonly hierarchy: () => Promise<Hierarchy>;
  /** What keeps the authorities is ten minutes late until this is called. */
  catchUp(): void;
}

/** Runs a server on it until the tests of this file have ended. */
export async function startAged({ directory, config, atEnd }: Aged): Promise<AgedServer> {
  let late = 600_000;
  const reader = await openEngine(config, directory, { readOnly: true });
  const second = await openEngine(config, directory, { readOnly: true });
  const passphrase = await readPassphrase({ kind: 'file', path: directory.passphrase }, {});
  const keyring = await openKeyring(reader, passphrase);
  const server = await startServer({
    config,
    databasePath: directory.database,
    reader,
    keyring: new FollowedKeyring(keyring),
    ledgerKeys: await openLedgerKeys(reader, keyring),
    hierarchy: (await readHierarchy(reader))!,
    clock: { now: () => Date.now() - late },
    random: systemRandom(),
    log: silentLog,
    loaded: loadThreads(),
    onLoss(error) {
      throw error;
    },
    maintainEvery: 100,
  });
  atEnd(async () => {
    await server.stop();
    await second.close();
  });
  return {
    api: `https://${server.listening.api}`,
    hierarchy: async () => (await readHierarchy(second))!,
    catchUp() {
      late = 0;
    },
  };
}
