import { hash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { systemClock } from '../../base/clock.ts';
import { WritError } from '../../base/error.ts';
import type { Log } from '../../base/log.ts';
import { systemRandom } from '../../base/random.ts';
import { rootsOf } from '../../ca/authority.ts';
import { type Hierarchy, readHierarchy } from '../../ca/hierarchy.ts';
import { type Command, EXIT, type Input, type Terminal } from '../../cli/command.ts';
import type { Database } from '../../db/database.ts';
import { migrate } from '../../db/migrate.ts';
import type { Keyring } from '../../keys/keyring.ts';
import type { Name } from '../../spiffe-id/name.ts';
import { administer, DATA_FLAG, unlock } from '../administration.ts';
import { type Config, readConfig, splitAddress } from '../config.ts';
import {
  type DataDirectory,
  dataDirectory,
  isInitialised,
  lockDirectory,
  prepareDirectory,
} from '../data-directory.ts';
import { openEngine } from '../engine.ts';
import { openLedgerKeys } from '../ledger-keys.ts';
import { openLog } from '../log.ts';
import { makeOperatorCredential, writeCredential } from '../operator-credential.ts';
import { PASSPHRASE_FLAGS } from '../passphrase.ts';
import { FollowedKeyring } from '../server/followed-keyring.ts';
import { type RunningServer, startServer } from '../server/server.ts';
import { INSTALL_FLAGS, install } from './install.ts';

/** The operator that the first start makes. */
const FIRST_OPERATOR = 'admin' as Name;

export function startCommand(): Command {
  return {
    path: 'start',
    summary: 'Run the authority; on an empty directory make it first',
    flags: [
      DATA_FLAG,
      { name: 'listen', value: 'host:port', summary: 'address of the API' },
      { name: 'listen-public', value: 'host:port', summary: 'address of the public TLS listener' },
      { name: 'listen-plain', value: 'host:port', summary: 'address of the plain HTTP listener' },
      { name: 'threads', value: 'number', summary: 'threads that answer requests' },
      ...INSTALL_FLAGS,
      ...PASSPHRASE_FLAGS,
    ],
    examples: [{ line: 'writ start', does: 'runs on ./writ-data, asks nothing' }],
    async run(input, terminal) {
      const directory = dataDirectory(input.flag('data')!);
      prepareDirectory(directory);
      const lock = lockDirectory(directory);
      try {
        return await run(input, terminal, directory);
      } finally {
        lock.release();
      }
    },
  };
}

async function run(input: Input, terminal: Terminal, directory: DataDirectory): Promise<number> {
  const log = openLog(isInitialised(directory) ? readConfig(directory.config).logLevel : 'info', 'main');
  await installIfEmpty(input, terminal, directory, log);
  const config = withFlags(readConfig(directory.config), input);
  const { reader, keyring, hierarchy } = await open(config, directory, input);
  let lost: Error | undefined;
  let wake: (() => void) | undefined;
  const server = await startServer({
    config,
    databasePath: directory.database,
    reader,
    keyring: new FollowedKeyring(keyring, () => unlock(reader, input, directory)),
    ledgerKeys: await openLedgerKeys(reader, keyring),
    hierarchy,
    clock: systemClock,
    random: systemRandom(),
    log,
    onLoss(error) {
      lost = error;
      wake?.();
    },
  });
  // Only now is it known under which port the credential finds the server.
  if (!existsSync(join(directory.operator, 'operator.json')) && !(await hasOperators(reader))) {
    await makeFirstOperator(input, directory, { ...config, listen: server.listening }, log);
  }
  greet(terminal, { directory, config, hierarchy, server });
  await new Promise<void>((resolve) => {
    wake = resolve;
    if (lost !== undefined) resolve();
    process.once('SIGINT', () => resolve());
    process.once('SIGTERM', () => resolve());
  });
  if (lost !== undefined) {
    throw new WritError('internal', `A thread was lost: ${lost.message}`, {
      remedy: 'Start the server again; whatever was acknowledged is recorded.',
    });
  }
  terminal.say('Stopping: answering what has begun.');
  process.once('SIGINT', () => process.exit(130));
  await server.stop();
  terminal.say('Stopped.');
  return EXIT.ok;
}

/** Makes the installation where there is none, and goes on with one that was interrupted. */
async function installIfEmpty(input: Input, terminal: Terminal, directory: DataDirectory, log: Log): Promise<void> {
  if (isInitialised(directory)) {
    const config = readConfig(directory.config);
    if (config.database.engine === 'sqlite' && !existsSync(directory.database)) {
      throw new WritError('behind_anchor', 'The configuration is here, but the database is gone', {
        field: '--data',
        remedy: `Put ${directory.database} back ("writ restore"), or begin anew with another directory.`,
      });
    }
    const database = await openEngine(config, directory, { readOnly: false });
    try {
      await migrate(database);
      if ((await readHierarchy(database)) !== undefined) return;
    } finally {
      await database.close();
    }
  }
  terminal.progress('making keys and authorities');
  await install(input, directory, log);
}

async function open(
  config: Config,
  directory: DataDirectory,
  input: Input,
): Promise<{ reader: Database; keyring: Keyring; hierarchy: Hierarchy }> {
  const reader = await openEngine(config, directory, { readOnly: true });
  const keyring = await unlock(reader, input, directory);
  return { reader, keyring, hierarchy: (await readHierarchy(reader))! };
}

async function hasOperators(reader: Database): Promise<boolean> {
  return (await reader.get('SELECT 1 AS found FROM operator LIMIT 1')) !== undefined;
}

async function makeFirstOperator(input: Input, directory: DataDirectory, config: Config, log: Log): Promise<void> {
  await administer(input, log, async ({ parts }) => {
    if (parts.authority.authorities().every(({ kind }) => kind !== 'issuing')) return;
    const credential = await makeOperatorCredential(
      { name: FIRST_OPERATOR, server: serverUrl(config), existing: false },
      parts,
    );
    writeCredential(join(directory.operator, 'operator.json'), credential, true);
  });
}

/** Where the command line on this machine finds the server. */
export function serverUrl(config: Config): string {
  const host = config.names[0]!;
  return `https://${host.includes(':') ? `[${host}]` : host}:${splitAddress(config.listen.api).port}`;
}

function withFlags(config: Config, input: Input): Config {
  const { api, public: open, plain } = config.listen;
  const threads = input.flag('threads');
  const listen = {
    api: input.flag('listen') ?? api,
    public: input.flag('listen-public') ?? open,
    plain: input.flag('listen-plain') ?? plain,
  };
  return { ...config, listen, ...(threads === undefined ? {} : { requestThreads: Number(threads) }) };
}

function greet(
  terminal: Terminal,
  {
    directory,
    config,
    hierarchy,
    server,
  }: { directory: DataDirectory; config: Config; hierarchy: Hierarchy; server: RunningServer },
): void {
  const root = rootsOf(hierarchy.authorities)[0];
  const fingerprint = root === undefined ? 'none yet' : `sha256:${hash('sha256', root.certificate.raw)}`;
  const { api, public: open, plain } = server.listening;
  terminal.line(
    {
      trust_domain: hierarchy.trustDomain,
      root_fingerprint: fingerprint,
      api: `https://${api}`,
      public: `https://${open}`,
      plain: `http://${plain}`,
      data: directory.path,
      anchor: config.anchor,
      passphrase_file: directory.passphrase,
      operator: directory.operator,
    },
    `Writ is running.

Trust domain  ${hierarchy.trustDomain}
Root          ${fingerprint}
API           https://${api}   (public documents: https://${open}, CRLs: http://${plain})
Data          ${directory.path}
Anchor        ${config.anchor}
Passphrase    ${directory.passphrase}
              It opens the authority's keys. A copy of the data directory alone opens none; whoever reads both has
              them all. Keep them apart in production: "writ start --help" lists the other sources.
Operator      ${directory.operator}/operator.json   (yours: the commands below use it)

Next, in another terminal:
${firstCommands(directory.operator).join('\n')}
`,
  );
}

/** What a newcomer pastes next, in the directory where the server was started. */
function firstCommands(operator: string): readonly string[] {
  // The credential is found by itself only beside data in the usual place.
  const found = operator === resolve('writ-data-operator');
  const flag = found ? '' : ` --operator '${operator}'`;
  return [
    `  npx writ agent register planner${flag} --team demo --sponsor you@example.com --purpose "plans things"`,
    `  npx writ token create planner${flag}`,
    `  npx writ run${flag} --agent planner -- env`,
  ];
}
