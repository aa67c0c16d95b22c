import { randomUUID } from 'node:crypto';
import { existsSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import type { Clock } from '../base/clock.ts';
import { isWritError, WritError } from '../base/error.ts';
import type { Log } from '../base/log.ts';
import type { Random } from '../base/random.ts';
import { createBelowExternalRoot, createHierarchy } from '../ca/authority/create.ts';
import { type NameScope, permittedNames } from '../ca/authority/name-constraints.ts';
import { type Hierarchy, readHierarchy } from '../ca/hierarchy.ts';
import { builtInProfiles } from '../ca/profile/profile.ts';
import { type Batch, newBatch } from '../db/batch.ts';
import { committed } from '../db/committed.ts';
import type { Database } from '../db/database.ts';
import { migrate } from '../db/migrate.ts';
import { createKeyring, type Keyring, openKeyring } from '../keys/keyring.ts';
import type { Passphrase } from '../keys/passphrase.ts';
import type { PassphraseSource } from '../keys/passphrase-source.ts';
import { requireClock } from '../ledger/clock.ts';
import { startLog } from '../ledger/start-log.ts';
import { insertDefaultPolicy } from '../policy/publish.ts';
import { type Config, parseConfig } from './config/config.ts';
import { type DataDirectory, prepareDirectory } from './data-directory.ts';
import { openEngine } from './engine.ts';
import { addLedgerKeys, ledgerSigners, openLedgerKeys } from './ledger-keys.ts';
import type { NewInstallation } from './new-installation.ts';
import { obtainPassphrase, withPassphrase } from './passphrase.ts';
import { CLOCK_OFF_MS, openRecorder } from './recorder.ts';
import { requireSound, requireWanted } from './sound.ts';
import { statusUrlOf } from './status-url.ts';

export interface Initialised {
  readonly hierarchy: Hierarchy;
  readonly keyring: Keyring;
  readonly passphraseMade: boolean;
  /** DER of the request that somebody else's root is to sign. */
  readonly request?: Uint8Array;
}

interface Means {
  readonly directory: DataDirectory;
  readonly passphrase: PassphraseSource;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/** So many times in a row another process may have been quicker. */
const MOST_CONFLICTS = 5;

/**
 * Makes an installation: configuration, passphrase, keys, ledger, authorities, profiles, policy. Each step is durable
 * before the next and is found done when it is run again, so a crash in between costs another run and nothing else. Of
 * several processes that begin on one database, each step is done by one, and the others go on from there.
 *
 * Where there is an installation already this throws `conflict`, unless it is `wanted` to join it.
 */
export async function initialise(wanted: NewInstallation, means: Means): Promise<Initialised> {
  const { config } = wanted;
  // What init is about to decide is refused before anything is written, and a database that was named by mistake is left
  // as it is.
  const scope = await requireSound(wanted, means.directory);
  prepareDirectory(means.directory);
  const database = await openEngine(config, means.directory, { readOnly: false });
  try {
    await requireClock(database, means.clock, CLOCK_OFF_MS);
    await migrate(database);
    for (let conflicts = 0; ; conflicts++) {
      const present = await readHierarchy(database);
      requireWanted(wanted, present);
      writeConfig(means.directory, config);
      try {
        const { keyring, made } = await makeKeys(database, means);
        if (present !== undefined) return { hierarchy: present, keyring, passphraseMade: made };
        return { ...(await makeHierarchy(database, wanted, keyring, { ...means, scope })), passphraseMade: made };
      } catch (error) {
        const another = isWritError(error, 'conflict') && error.field === undefined;
        if (!another || conflicts === MOST_CONFLICTS) throw error;
      }
    }
  } finally {
    await database.close();
  }
}

/** Starts the ledger and commits authorities, profiles and policy as its first act. */
async function makeHierarchy(
  database: Database,
  wanted: NewInstallation,
  keyring: Keyring,
  { scope, clock, random, log }: Means & { readonly scope: NameScope },
): Promise<Omit<Initialised, 'passphraseMade'>> {
  const { config, rootKeyOut } = wanted;
  const ledgerKeys = ledgerSigners(await openLedgerKeys(database, keyring));
  const recorder = await openRecorder({ config, database, ledgerKeys, clock, random, log, start: startLog });
  try {
    const now = clock.now();
    const batch = newBatch();
    const profiles = builtInProfiles(permittedNames(scope));
    const statusUrl = wanted.statusUrl ?? statusUrlOf(wanted.config);
    const { algorithm } = wanted;
    const options = { scope, algorithm, profiles, keyring, statusUrl, random, now, caller: 'system:init' };
    const request = wanted.externalRoot ? await createBelowExternalRoot(batch, options) : undefined;
    if (request === undefined) {
      await createHierarchy(batch, { ...options, ...(rootKeyOut === undefined ? {} : { rootKeyOut }) });
    }
    insertDefaultPolicy(batch, now);
    const outcome = await recorder.commit(batch);
    // The key of a root that exists nowhere would be taken for the one that does.
    if (!outcome.committed && rootKeyOut !== undefined) rmSync(rootKeyOut, { force: true });
    committed(outcome);
    return { hierarchy: (await readHierarchy(database))!, keyring, ...(request === undefined ? {} : { request }) };
  } finally {
    await recorder.close();
  }
}

/** Keyring and ledger keys come before the ledger that they sign, so they are committed without an entry of their own. */
async function makeKeys(database: Database, means: Means): Promise<{ keyring: Keyring; made: boolean }> {
  const source = means.passphrase;
  const exists = (await database.get('SELECT 1 AS found FROM keyring WHERE id = 1')) !== undefined;
  if (exists) {
    return { keyring: await withPassphrase(source, (passphrase) => openKeyring(database, passphrase)), made: false };
  }
  const { passphrase, made } = await obtainPassphrase(source, means.random);
  try {
    return { keyring: await commitKeys(database, passphrase, means), made };
  } catch (error) {
    // Another machine's passphrase opens the keys now; the one made here would only be mistaken for it.
    if (made && source.kind === 'file' && isWritError(error, 'conflict')) rmSync(source.path, { force: true });
    throw error;
  }
}

async function commitKeys(database: Database, passphrase: Passphrase, means: Means): Promise<Keyring> {
  const batch = newBatch();
  const act = { now: means.clock.now(), random: means.random };
  const keyring = await createKeyring(batch, passphrase, act);
  await addLedgerKeys(batch, keyring, act);
  await database.transaction(async (tx) => {
    await applyQuietly(batch, tx);
  });
  return keyring;
}

async function applyQuietly(batch: Batch, tx: Parameters<Parameters<Database['transaction']>[0]>[0]): Promise<void> {
  for (const { sql, params, want, refusal, reason } of batch.checks) {
    if (((await tx.get(sql, params)) !== undefined) !== (want === 'present')) throw new WritError(refusal, reason);
  }
  for (const { sql, params } of batch.writes) await tx.run(sql, params as Parameters<typeof tx.run>[1]);
}

/** Writes the configuration once; one that is there stays. */
function writeConfig(directory: DataDirectory, config: Config): void {
  parseConfig(JSON.parse(JSON.stringify(config)));
  if (existsSync(directory.config)) return;
  const fresh = `${directory.config}.${randomUUID()}`;
  writeFileSync(fresh, `${JSON.stringify(config, undefined, 2)}\n`, { mode: 0o600, flush: true });
  renameSync(fresh, directory.config);
}
