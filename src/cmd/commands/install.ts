import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { systemClock } from '../../base/clock.ts';
import { WritError } from '../../base/error.ts';
import type { Log } from '../../base/log.ts';
import { systemRandom } from '../../base/random.ts';
import { type Command, EXIT, type Flag, type Input } from '../../cli/command.ts';
import { encodePem } from '../../der/pem.ts';
import { isKeyAlgorithm, KEY_ALGORITHMS } from '../../keys/generate.ts';
import { DATA_FLAG } from '../administration.ts';
import { type Config, defaultConfig, readConfig } from '../config/config.ts';
import { type DataDirectory, dataDirectory, isInitialised } from '../data-directory.ts';
import { type Initialised, initialise } from '../initialise.ts';
import { LISTEN_FLAGS, withListenFlags } from '../listen-flags.ts';
import { openLog } from '../log.ts';
import type { NewInstallation } from '../new-installation.ts';
import { PASSPHRASE_FLAGS, passphraseSource } from '../passphrase.ts';
import { requireSound } from '../sound.ts';

/** What is decided when an installation is made; also taken by `start` on an empty directory. */
export const INSTALL_FLAGS: readonly Flag[] = [
  {
    name: 'trust-domain',
    value: 'name',
    summary: 'trust domain of all identities, fixed for ever (default writ.internal)',
    environment: 'WRIT_TRUST_DOMAIN',
  },
  {
    name: 'algorithm',
    value: 'kind',
    summary: 'kind of key of the authorities, fixed for ever (default ecdsa-p256)',
    choices: KEY_ALGORITHMS,
  },
  {
    name: 'name',
    value: 'name',
    summary: 'name or address of this server; the first goes into join tokens',
    many: true,
  },
  { name: 'permit-dns', value: 'name', summary: 'further DNS subtree that certificates may name', many: true },
  { name: 'permit-ip', value: 'network', summary: 'network whose addresses certificates may name', many: true },
  { name: 'no-loopback', summary: 'do not permit localhost and loopback addresses' },
  { name: 'anchor', value: 'directory', summary: 'directory for the anchor, best on other storage' },
  { name: 'root-key-out', value: 'file', summary: 'new file for the root key, which then is not kept here' },
  { name: 'config', value: 'file', summary: 'configuration to begin with, e.g. to use PostgreSQL' },
  ...LISTEN_FLAGS,
];

/** What is decided about the authorities when they are made, and never again. */
const ROOT_FLAGS = ['csr', 'algorithm', 'permit-dns', 'permit-ip', 'no-loopback', 'root-key-out'];

const TRUST_DOMAIN = 'writ.internal';
const ALGORITHM = 'ecdsa-p256';

export function initCommand(): Command {
  return {
    path: 'init',
    summary: 'Make an installation in an empty directory',
    details:
      'Makes passphrase, keys, ledger and authorities. "writ start" does this by itself where nothing is decided differently.',
    flags: [
      DATA_FLAG,
      ...INSTALL_FLAGS,
      {
        name: 'csr',
        value: 'file',
        summary: 'live under an existing root: write the request for our intermediate here',
      },
      { name: 'join', summary: 'be one more replica of the installation that is in the database, with its passphrase' },
      ...PASSPHRASE_FLAGS,
    ],
    changes: true,
    examples: [
      {
        line: 'writ init --trust-domain agents.example.com --root-key-out /media/stick/writ-root.key',
        does: 'keeps the root key offline',
      },
      {
        line: 'writ init --trust-domain agents.example.com --csr intermediate.csr',
        does: 'puts Writ under your own root',
      },
      {
        line: 'writ init --config writ.json --join --passphrase-file passphrase',
        does: 'sets up a second machine on the same PostgreSQL',
      },
    ],
    async run(input, terminal) {
      const directory = dataDirectory(input.flag('data')!);
      const csr = input.flag('csr');
      const decided = ROOT_FLAGS.find((flag) => input.has(flag) || input.flag(flag) || input.flags(flag).length > 0);
      if (input.has('join') && decided !== undefined) {
        throw new WritError('bad_request', 'One more replica has the authorities of the others', {
          field: `--${decided}`,
          remedy: `Leave out --${decided} or --join.`,
        });
      }
      const join = input.has('join') ? 'only' : 'no';
      if (input.dryRun) {
        const wanted = wantedOf(input, directory, { join });
        const { trustDomain } = await requireSound(wanted, directory);
        const { names, anchor } = wanted.config;
        terminal.result(
          { would: 'init', trust_domain: trustDomain, data: directory.path, anchor, names, join: join === 'only' },
          `Would ${join === 'only' ? 'join' : 'make'} the installation of ${trustDomain} in ${directory.path}, reached as ${names.join(', ')}.`,
        );
        return EXIT.ok;
      }
      terminal.progress('making keys and authorities');
      const made = await install(input, directory, openLog('warn', 'main'), { join });
      if (csr !== undefined) writeNew(csr, encodePem('CERTIFICATE REQUEST', made.request!));
      terminal.result(
        {
          trust_domain: made.hierarchy.trustDomain,
          data: directory.path,
          ...(made.passphraseMade ? { passphrase_file: directory.passphrase } : {}),
          ...(csr === undefined ? {} : { request: csr }),
        },
        [
          `Trust domain  ${made.hierarchy.trustDomain}`,
          `Data          ${directory.path}`,
          ...(made.passphraseMade ? [`Passphrase    ${directory.passphrase}`] : []),
          ...(csr === undefined ? [] : [`Request       ${csr}`]),
        ].join('\n'),
      );
      const elsewhere = PASSPHRASE_FLAGS.some(({ name }) => input.flag(name) !== undefined);
      terminal.say(
        csr === undefined
          ? `Next: writ start --data ${directory.path}${elsewhere ? ', with the same passphrase from where it is kept' : ''}`
          : 'Next: have the request signed as a CA with path length 1 or more, then "writ ca import CHAIN.pem"',
      );
      return EXIT.ok;
    },
  };
}

/** Makes the installation that the flags describe, or as `join` says goes on with the one that is in the database. */
export function install(
  input: Input,
  directory: DataDirectory,
  log: Log,
  options: Pick<NewInstallation, 'join' | 'statusUrl'> = {},
): Promise<Initialised> {
  return initialise(wantedOf(input, directory, options), {
    directory,
    passphrase: passphraseSource(input, directory),
    clock: systemClock,
    random: systemRandom(),
    log,
  });
}

function wantedOf(
  input: Input,
  directory: DataDirectory,
  options: Pick<NewInstallation, 'join' | 'statusUrl'>,
): NewInstallation {
  const algorithm = input.flag('algorithm') ?? ALGORITHM;
  if (!isKeyAlgorithm(algorithm)) throw new TypeError('the flag has been checked against the same list');
  const rootKeyOut = input.flag('root-key-out');
  return {
    ...options,
    config: configOf(input, directory),
    algorithm,
    permitDns: input.flags('permit-dns'),
    permitNetworks: input.flags('permit-ip'),
    loopback: !input.has('no-loopback'),
    ...(rootKeyOut === undefined ? {} : { rootKeyOut }),
    externalRoot: input.flag('csr') !== undefined,
  };
}

/**
 * Refuses flags that ask for another installation than the one that is there: what was decided once is not changed by
 * starting again.
 */
export function requireSame(config: Config, input: Input): void {
  const [domain, anchor] = [input.flag('trust-domain'), input.flag('anchor')];
  if (domain !== undefined && domain !== config.trustDomain) {
    throw new WritError('conflict', `This installation is that of trust domain ${config.trustDomain}`, {
      field: '--trust-domain',
      remedy: 'A trust domain is fixed for ever: leave the flag out, or name another directory with --data.',
    });
  }
  const names = [...new Set(input.flags('name'))];
  if (names.some((name, n) => config.names[n] !== name)) {
    throw new WritError('conflict', `The names of this server are ${config.names.join(', ')}`, {
      field: '--name',
      remedy: 'Change "names" in config.json, the first being that of join tokens, and leave the flag out.',
    });
  }
  if (anchor !== undefined && resolve(anchor) !== resolve(config.anchor)) {
    throw new WritError('conflict', `The anchor of this installation is ${config.anchor}`, {
      field: '--anchor',
      remedy: 'To move it, stop the server, move the directory and change "anchor" in config.json.',
    });
  }
}

/** The configuration that an interrupted run has left, else one of flags, given file and defaults. */
export function configOf(input: Input, directory: DataDirectory): Config {
  if (isInitialised(directory)) return readConfig(directory.config);
  const given = input.flag('config');
  const domain = input.flag('trust-domain');
  const base = given === undefined ? defaultConfig(domain ?? TRUST_DOMAIN, directory.anchor) : readGiven(given);
  const names = input.flags('name');
  const anchor = input.flag('anchor');
  const config = withListenFlags(
    {
      ...base,
      ...(domain === undefined ? {} : { trustDomain: domain }),
      ...(names.length === 0
        ? {}
        : { names: input.has('no-loopback') ? names : [...new Set([...names, ...base.names])] }),
      ...(anchor === undefined ? {} : { anchor: resolve(anchor) }),
    },
    input,
  );
  return config;
}

/**
 * Throws `bad_config` when `--config` says something else than the configuration in the data directory, which it does not
 * replace: whoever changed the file would wonder why nothing happens.
 */
export function requireSameConfig(input: Input, directory: DataDirectory): void {
  const path = input.flag('config');
  if (path === undefined || !isInitialised(directory)) return;
  const [given, own] = [readGiven(path), readConfig(directory.config)];
  const said = Object.keys(JSON.parse(readFileSync(path, 'utf8')) as object) as (keyof Config)[];
  const other = said.find((key) => !isDeepStrictEqual(given[key], own[key]));
  if (other === undefined) return;
  throw new WritError('bad_config', `The data directory has a configuration of its own, in which ${other} differs`, {
    field: '--config',
    remedy: `Change ${directory.config} and leave out --config, which is for the first start.`,
  });
}

function readGiven(path: string): Config {
  if (existsSync(path)) return readConfig(path);
  throw new WritError('bad_config', 'There is no such file', { field: '--config', remedy: `Check the path: ${path}` });
}

function writeNew(path: string, text: string): void {
  try {
    writeFileSync(path, text, { flag: 'wx' });
  } catch (cause) {
    throw new WritError('conflict', 'The file cannot be written', {
      field: '--csr',
      remedy: `Name a new file: ${path}`,
      cause,
    });
  }
}
