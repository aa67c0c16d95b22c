import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '../../base/clock.ts';
import { isWritError, WritError } from '../../base/error.ts';
import type { Log } from '../../base/log.ts';
import { systemRandom } from '../../base/random.ts';
import { type Hierarchy, readHierarchy } from '../../ca/hierarchy.ts';
import { onceAskedToStop } from '../../cli/asked-to-stop.ts';
import { type Command, EXIT, type Input, type Terminal } from '../../cli/command.ts';
import { readCredential } from '../../cli/credential.ts';
import type { Database } from '../../db/database.ts';
import { migrate } from '../../db/migrate.ts';
import type { Keyring } from '../../keys/keyring.ts';
import { requireClock } from '../../ledger/clock.ts';
import { hasAgents } from '../../registry/agent-store.ts';
import type { Name } from '../../spiffe-id/name.ts';
import { administer, DATA_FLAG, unlock } from '../administration.ts';
import { type Config, readConfig } from '../config/config.ts';
import {
  type DataDirectory,
  dataDirectory,
  isInitialised,
  lockDirectory,
  prepareDirectory,
} from '../data-directory.ts';
import { openEngine } from '../engine.ts';
import { greetingJson, greetingText } from '../greeting.ts';
import { openLedgerKeys } from '../ledger-keys.ts';
import { withListenFlags } from '../listen-flags.ts';
import { openLog } from '../log.ts';
import { ADMINISTRATOR, makeOperatorCredential, serverUrl, writeCredential } from '../operator-credential.ts';
import { PASSPHRASE_FLAGS } from '../passphrase.ts';
import { readPresent } from '../present.ts';
import { CLOCK_OFF_MS } from '../recorder.ts';
import { forgetRunning, noteRunning } from '../running.ts';
import { FollowedKeyring } from '../server/followed-keyring.ts';
import { requireFree } from '../server/port-probe.ts';
import { loadThreads, startServer } from '../server/server.ts';
import type { ThreadParts } from '../server/thread-parts.ts';
import { requireTrustDomain } from '../sound.ts';
import { settlePlain, statusUrlOf } from '../status-url.ts';
import { configOf, INSTALL_FLAGS, install, requireSame, requireSameConfig } from './install.ts';
import { requireSameRoot } from './same-root.ts';

/** The operator that the first start makes. */
const FIRST_OPERATOR = 'admin' as Name;

export function startCommand(): Command {
  return {
    path: 'start',
    summary: 'Run the authority; on an empty directory make it first',
    flags: [DATA_FLAG, ...INSTALL_FLAGS, ...PASSPHRASE_FLAGS],
    examples: [{ line: 'writ start', does: 'runs on ./writ-data, asks nothing' }],
    async run(input, terminal) {
      const directory = dataDirectory(input.flag('data')!);
      // A listener that cannot be had is said before anything is made; where all is made, the server looks itself.
      if (!isInitialised(directory)) await requireFree(configOf(input, directory).listen);
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
  requireSameConfig(input, directory);
  const loaded = loadThreads();
  // Known before anything is issued: certificates name it.
  const planned = withListenFlags(configOf(input, directory), input);
  const settled = await settlePlain(planned.listen);
  const { listen } = settled;
  await installIfEmpty(input, terminal, directory, log, statusUrlOf({ ...planned, listen }));
  const kept = readConfig(directory.config);
  requireSame(kept, input);
  const config = { ...withListenFlags(kept, input), listen };
  const { reader, keyring, hierarchy } = await open(config, directory, input);
  requireSameRoot(hierarchy, input);
  let lost: Error | undefined;
  let wake: (() => void) | undefined;
  const server = await startServer({
    config,
    settled,
    databasePath: directory.database,
    reader,
    keyring: new FollowedKeyring(keyring, () => unlock(reader, input, directory)),
    ledgerKeys: await openLedgerKeys(reader, keyring),
    hierarchy,
    clock: systemClock,
    random: systemRandom(),
    log,
    loaded,
    onLoss(error) {
      lost = error;
      wake?.();
    },
  });
  try {
    noteRunning(directory, { pid: process.pid, listen: server.listening });
    // Only now is it known under which port the credential finds the server.
    await keepFirstOperator(input, directory, {
      log,
      config: { ...config, listen: server.listening },
      own: server.own,
    });
    const greeting = { directory, config, hierarchy, listen: server.listening };
    // What comes next is for who has not come that far: the names in it are taken otherwise.
    const next = !(await hasAgents(reader));
    terminal.line(greetingJson(greeting), `Writ is running.\n\n${greetingText(greeting, { next })}`);
    await new Promise<void>((resolve) => {
      wake = resolve;
      if (lost !== undefined) resolve();
      onceAskedToStop(resolve);
    });
  } finally {
    forgetRunning(directory);
  }
  if (lost !== undefined) {
    throw new WritError('internal', `A thread was lost: ${lost.message}`, {
      remedy: 'Start the server again; whatever was acknowledged is recorded.',
    });
  }
  terminal.say('Stopping: answering what has begun.');
  await server.stop();
  terminal.say('Stopped.');
  return EXIT.ok;
}

/** Makes the installation where there is none, goes on with one that was interrupted, or joins one in the database. */
async function installIfEmpty(
  input: Input,
  terminal: Terminal,
  directory: DataDirectory,
  log: Log,
  statusUrl: string,
): Promise<void> {
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
      await requireClock(database, systemClock, CLOCK_OFF_MS);
      // Before the migrations: a database of another installation is left as it is.
      const present = await readPresent(database);
      if (present !== undefined) requireTrustDomain(config, present);
      await migrate(database);
      if (present !== undefined) return;
    } finally {
      await database.close();
    }
  }
  terminal.progress('making keys and authorities');
  await install(input, directory, log, { join: 'may', statusUrl });
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

/** Makes the first operator where there is none; sees to it that their credential leads to where the server is now. */
async function keepFirstOperator(
  input: Input,
  directory: DataDirectory,
  { log, config, own }: { readonly log: Log; readonly config: Config; readonly own: ThreadParts },
): Promise<void> {
  const file = join(directory.operator, 'operator.json');
  // Says that the first operator is being made: a start that finds it without the credential was preceded by a crash.
  const begun = `${file}.begun`;
  if (existsSync(file)) {
    rmSync(begun, { force: true });
    const credential = readCredential(file);
    const server = serverUrl(config);
    if (credential.server !== server) writeCredential(file, { ...credential, server }, true);
    return;
  }
  const existing = (await own.reader.get('SELECT 1 AS found FROM operator LIMIT 1')) !== undefined;
  const make = async (parts: ThreadParts): Promise<void> => {
    if (parts.authority.authorities().every(({ kind }) => kind !== 'issuing')) return;
    // A file is quickly made. Where others run the installation, too, nobody becomes its first operator without them.
    const resource = { type: 'Operator', id: FIRST_OPERATOR } as const;
    if (existing && !parts.policy.authorize({ caller: ADMINISTRATOR, action: 'operator.add', resource }).allowed) {
      return rmSync(begun);
    }
    mkdirSync(directory.operator, { recursive: true, mode: 0o700 });
    writeFileSync(begun, '', { mode: 0o600, flush: true });
    const request = { name: FIRST_OPERATOR, server: serverUrl(config), existing };
    try {
      writeCredential(file, (await makeOperatorCredential(request, parts)).credential, true);
    } catch (error) {
      // Another replica has made the first one, whose credential is there.
      if (existing || !isWritError(error, 'conflict')) throw error;
    }
    rmSync(begun);
  };
  if (!existing) await make(own);
  // How many people there are counts then, which a server does not ask.
  else if (existsSync(begun)) await administer(input, log, ({ parts }) => make(parts));
}
