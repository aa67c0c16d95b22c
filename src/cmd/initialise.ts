import { randomUUID } from 'node:crypto';
import { existsSync, renameSync, writeFileSync } from 'node:fs';
import type { Clock } from '../base/clock.ts';
import { WritError } from '../base/error.ts';
import type { Log } from '../base/log.ts';
import type { Random } from '../base/random.ts';
import { createBelowExternalRoot, createHierarchy } from '../ca/create.ts';
import { type Hierarchy, readHierarchy } from '../ca/hierarchy.ts';
import { permittedNames } from '../ca/name-constraints.ts';
import { builtInProfiles } from '../ca/profile.ts';
import { type Batch, newBatch } from '../db/batch.ts';
import { committed } from '../db/committed.ts';
import type { Database } from '../db/database.ts';
import { migrate } from '../db/migrate.ts';
import type { KeyAlgorithm } from '../keys/generate.ts';
import { createKeyring, type Keyring, openKeyring } from '../keys/keyring.ts';
import type { Passphrase } from '../keys/passphrase.ts';
import type { PassphraseSource } from '../keys/passphrase-source.ts';
import { startLog } from '../ledger/start-log.ts';
import { insertDefaultPolicy } from '../policy/publish.ts';
import { nameConstraintFault, parseTrustDomain } from '../spiffe-id/trust-domain.ts';
import { type Config, parseConfig } from './config.ts';
import { type DataDirectory, prepareDirectory } from './data-directory.ts';
import { openEngine } from './engine.ts';
import { addLedgerKeys, ledgerSigners, openLedgerKeys } from './ledger-keys.ts';
import { obtainPassphrase, withPassphrase } from './passphrase.ts';
import { openRecorder } from './recorder.ts';

/** What is decided once, when an installation is made. */
export interface NewInstallation {
  readonly config: Config;
  readonly algorithm: KeyAlgorithm;
  /** DNS subtrees and networks that authorities vouch for beside the trust domain. */
  readonly permitDns: readonly string[];
  readonly permitNetworks: readonly string[];
  /** Adds `localhost` and the loopback addresses. */
  readonly loopback: boolean;
  /** File for the root's key, which then never lies in the database. */
  readonly rootKeyOut?: string;
  /** True to put Writ under somebody else's root. */
  readonly externalRoot: boolean;
}

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

/**
 * Makes an installation: configuration, passphrase, keys, ledger, authorities, profiles, policy. Each step is durable
 * before the next and is found done when it is run again, so a crash in between costs another run and nothing else.
 *
 * Throws `conflict` when there is an installation here already.
 */
export async function initialise(wanted: NewInstallation, means: Means): Promise<Initialised> {
  const { directory, clock, random, log } = means;
  // What init is about to decide is refused before anything is written.
  const trustDomain = parseTrustDomain(wanted.config.trustDomain, '--trust-domain');
  const fault = nameConstraintFault(trustDomain);
  if (fault !== undefined) {
    throw new WritError('bad_spiffe_id', `The trust domain ${fault}.`, {
      field: '--trust-domain',
      remedy: 'Give a host name of at least two labels, like agents.example.com; it need not exist in DNS.',
    });
  }
  prepareDirectory(directory);
  writeConfig(directory, wanted.config);
  const database = await openEngine(wanted.config, directory, { readOnly: false });
  try {
    await migrate(database);
    if ((await readHierarchy(database)) !== undefined) {
      throw new WritError('conflict', 'There is an installation here already', {
        field: '--data',
        remedy: 'Start it with "writ start", or name another directory.',
      });
    }
    const { keyring, made } = await makeKeys(database, means);
    const ledgerKeys = ledgerSigners(await openLedgerKeys(database, keyring));
    const recorder = await openRecorder({
      config: wanted.config,
      database,
      ledgerKeys,
      clock,
      random,
      log,
      start: startLog,
    });
    try {
      const now = clock.now();
      const batch = newBatch();
      const scope = {
        trustDomain,
        dns: wanted.permitDns,
        networks: wanted.permitNetworks,
        loopback: wanted.loopback,
      };
      const options = {
        scope,
        algorithm: wanted.algorithm,
        profiles: builtInProfiles(permittedNames(scope)),
        keyring,
        random,
        now,
        caller: 'system:init',
      };
      const request = wanted.externalRoot ? await createBelowExternalRoot(batch, options) : undefined;
      if (request === undefined) {
        await createHierarchy(batch, {
          ...options,
          ...(wanted.rootKeyOut === undefined ? {} : { rootKeyOut: wanted.rootKeyOut }),
        });
      }
      insertDefaultPolicy(batch, now);
      committed(await recorder.commit(batch));
      const hierarchy = (await readHierarchy(database))!;
      return { hierarchy, keyring, passphraseMade: made, ...(request === undefined ? {} : { request }) };
    } finally {
      await recorder.close();
    }
  } finally {
    await database.close();
  }
}

/** Keyring and ledger keys come before the ledger that they sign, so they are committed without an entry of their own. */
async function makeKeys(database: Database, means: Means): Promise<{ keyring: Keyring; made: boolean }> {
  const exists = (await database.get('SELECT 1 AS found FROM keyring WHERE id = 1')) !== undefined;
  if (exists) {
    const keyring = await withPassphrase(means.passphrase, (passphrase) => openKeyring(database, passphrase));
    return { keyring, made: false };
  }
  const { passphrase, made } = await obtainPassphrase(means.passphrase, means.random);
  return { keyring: await commitKeys(database, passphrase, means), made };
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
