import { existsSync, statfsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '../../base/clock.ts';
import { isWritError } from '../../base/error.ts';
import type { Log } from '../../base/log.ts';
import { dueItems } from '../../ca/authority/due.ts';
import { issuingLifetime } from '../../ca/authority/issuing-lifetime.ts';
import { activeOf } from '../../ca/authority.ts';
import { type Hierarchy, readHierarchy } from '../../ca/hierarchy.ts';
import { readProfiles } from '../../ca/profile/store.ts';
import { type Command, EXIT, type Input } from '../../cli/command.ts';
import { readCredential } from '../../cli/credential.ts';
import { table } from '../../cli/table.ts';
import type { Database } from '../../db/database.ts';
import { missingMigrations } from '../../db/migrate.ts';
import { decodePem } from '../../der/pem.ts';
import { Anchor } from '../../ledger/anchor.ts';
import { readHead } from '../../ledger/head.ts';
import { countEmergencies } from '../../registry/emergency.ts';
import { readHold } from '../../registry/hold.ts';
import { readStop } from '../../revocation/stop-store.ts';
import { parseCertificate } from '../../x509/certificate.ts';
import { DATA_FLAG, unlock } from '../administration.ts';
import { type Config, readConfig } from '../config/config.ts';
import { type DataDirectory, dataDirectory } from '../data-directory.ts';
import { openEngine } from '../engine.ts';
import { shownAddress } from '../greeting.ts';
import { PASSPHRASE_FLAGS } from '../passphrase.ts';
import { askReadiness } from '../readiness.ts';
import { listenOf } from '../running.ts';
import { canaries } from './canaries.ts';
import { federations } from './federations.ts';

type State = 'pass' | 'warn' | 'fail';

interface Finding {
  readonly check: string;
  readonly state: State;
  readonly found: string;
  /** What to do, where there is something. */
  readonly fix?: string;
}

const DAY_MS = 86_400_000;
const LOW_DISK = 1024 ** 3;
const MARK: Readonly<Record<State, string>> = { pass: 'ok', warn: 'WARN', fail: 'FAIL' };

/** `writ doctor`: looks at everything an administrator would look at, and says what to do about what it finds. */
export function doctorCommand(log: () => Log): Command {
  return {
    path: 'doctor',
    summary: 'Check an installation on this machine and say what to mend',
    details: 'Changes nothing. Exit code 7 when a check fails.',
    flags: [DATA_FLAG, ...PASSPHRASE_FLAGS],
    async run(input, terminal) {
      const findings = await examine(input, log());
      const rows = findings.map(({ check, state, found, fix }) => [
        MARK[state],
        check,
        found,
        fix === undefined ? '' : `→ ${fix}`,
      ]);
      const failed = findings.filter(({ state }) => state === 'fail').length;
      const warned = findings.filter(({ state }) => state === 'warn').length;
      terminal.result(
        { ok: failed === 0, findings },
        table(['', 'CHECK', 'FOUND', 'DO'], rows, { empty: '', colour: terminal.colour }),
      );
      terminal.say(`${findings.length} checks, ${failed} failed, ${warned} ${warned === 1 ? 'warning' : 'warnings'}.`);
      return failed === 0 ? EXIT.ok : EXIT.findings;
    },
  };
}

/** Runs every check that can be run; one that throws is a finding, and those that hang on it are left out. */
async function examine(input: Input, log: Log): Promise<Finding[]> {
  const findings: Finding[] = [];
  const attempt = async <T>(
    check: string,
    act: () => Promise<{ value?: T } & Omit<Finding, 'check'>>,
  ): Promise<T | undefined> => {
    try {
      const { value, ...finding } = await act();
      findings.push({ check, ...finding });
      return value;
    } catch (error) {
      const fix = isWritError(error) ? error.remedy : undefined;
      findings.push({ check, state: 'fail', found: (error as Error).message, ...(fix === undefined ? {} : { fix }) });
      return undefined;
    }
  };
  const directory = dataDirectory(input.flag('data')!);
  const config = await attempt('configuration', async () => {
    const value = readConfig(directory.config);
    return { value, state: 'pass', found: value.trustDomain };
  });
  await attempt('permissions', async () => permissions(directory));
  if (config === undefined) return findings;
  await attempt('passphrase apart', async () => apart(input, directory));
  await attempt('disk', async () => disk(directory));
  const database = await attempt('database', async () => {
    const value = await openEngine(config, directory, { readOnly: true });
    const older = (await missingMigrations(value)) > 0;
    if (!older) return { value, state: 'pass', found: value.engine };
    await value.close();
    return {
      state: 'warn',
      found: `${value.engine}, of an older version`,
      fix: '"writ start" brings it up to this one',
    };
  });
  if (database !== undefined) {
    try {
      await attempt('passphrase opens keys', async () => {
        await unlock(database, input, directory);
        return { state: 'pass', found: 'yes' };
      });
      await attempt('ledger and anchor', () => anchored(database, config, log));
      const hierarchy = await attempt('authorities', async () => {
        const value = await readHierarchy(database);
        if (value === undefined) return { state: 'fail', found: 'none', fix: 'writ init' };
        const held = await heldIssuer(database, value);
        return held === undefined
          ? { value, state: 'pass', found: `${value.authorities.length}, root key ${value.root}` }
          : { value, ...held };
      });
      if (hierarchy !== undefined) {
        await attempt('due', () => due(database, hierarchy));
        await attempt('reviews', () => reviews(database));
        await attempt('canaries', () => canaries(database, systemClock.now()));
        await attempt('federation', () => federations(database, systemClock.now()));
        await attempt('server', () => reachable(config, directory, hierarchy));
      }
    } finally {
      await database.close();
    }
  }
  await attempt('operator credential', async () => operator(directory));
  return findings;
}

function permissions(directory: DataDirectory): Omit<Finding, 'check'> {
  const open = [directory.path, directory.anchor, directory.passphrase, directory.operator].filter(
    (path) => existsSync(path) && (statSync(path).mode & 0o077) !== 0,
  );
  if (open.length === 0) return { state: 'pass', found: 'owner-only' };
  return { state: 'fail', found: `others can open ${open.join(', ')}`, fix: `chmod go= ${open.join(' ')}` };
}

function apart(input: Input, directory: DataDirectory): Omit<Finding, 'check'> {
  const others = ['file', 'fd', 'env', 'credential'].some((name) => input.flag(`passphrase-${name}`) !== undefined);
  if (others || !existsSync(directory.passphrase)) return { state: 'pass', found: 'from elsewhere' };
  return {
    state: 'warn',
    found: 'the passphrase lies beside the data it protects',
    fix: 'in production use a systemd credential or another volume: --passphrase-credential, --passphrase-file',
  };
}

function disk(directory: DataDirectory): Omit<Finding, 'check'> {
  const { bavail, bsize } = statfsSync(directory.path);
  const free = bavail * bsize;
  const found = `${(free / 1024 ** 3).toFixed(1)} GiB free`;
  return free > LOW_DISK
    ? { state: 'pass', found }
    : { state: 'warn', found, fix: 'make room: a full disk stops issuing' };
}

async function anchored(database: Database, config: Config, log: Log): Promise<Omit<Finding, 'check'>> {
  const head = await readHead(database);
  if (head === undefined) return { state: 'fail', found: 'there is no ledger', fix: 'writ init' };
  const saved = (await Anchor.reading(config.anchor, log).checkpoint())?.checkpoint;
  if (saved === undefined)
    return { state: 'warn', found: `${head.size} entries, anchor empty`, fix: 'start the server once' };
  if (saved.size <= head.size) return { state: 'pass', found: `${head.size} entries, anchored to ${saved.size}` };
  return {
    state: 'fail',
    found: `the anchor knows ${saved.size} entries, the database ${head.size}: an older copy`,
    fix: 'put the newest database back, or "writ ledger new-log"',
  };
}

/**
 * An issuing authority that nothing is issued by, nor anybody let in of whom it certified; also after another took its
 * place, for as long as nobody has decided what becomes of it.
 */
async function heldIssuer(database: Database, { authorities }: Hierarchy): Promise<Omit<Finding, 'check'> | undefined> {
  const active = activeOf(authorities, 'issuing')?.id;
  const now = systemClock.now();
  const issuing = authorities.filter(({ kind, certificate }) => kind === 'issuing' && certificate.notAfter > now);
  for (const { id } of issuing.sort((one, other) => Number(other.id === active) - Number(one.id === active))) {
    const hold = await readHold(database, { kind: 'authority', target: id, descend: false });
    if (hold === undefined) continue;
    const { state, id: stop } = (await readStop(database, hold.stop))!;
    if (id === active) return heldActive(id, { state, stop });
    if (state !== 'quarantined') continue;
    return {
      state: 'warn',
      found: `the issuing authority ${id}, which was succeeded, is quarantined: whom it certified is refused`,
      fix: `writ release ${stop} --here, or for ever: writ stop authority ${id} --cause …`,
    };
  }
  return undefined;
}

function heldActive(
  id: string,
  { state, stop }: { readonly state: string; readonly stop: string },
): Omit<Finding, 'check'> {
  const found = `the issuing authority ${id} is ${state}: nothing is issued, and whom it certified is refused`;
  const successor =
    '"writ ca rotate --here", then "writ operator add NAME --replace --here" (of several people with --request-approval WHY --recover)';
  return {
    state: 'fail',
    found,
    fix: state === 'quarantined' ? `writ release ${stop} --here, or ${successor}` : successor,
  };
}

async function due(database: Database, hierarchy: Hierarchy): Promise<Omit<Finding, 'check'>> {
  const profiles = (await readProfiles(database)).map(({ profile }) => profile);
  const items = dueItems(hierarchy, { now: systemClock.now(), issuingLifetime: issuingLifetime(profiles) });
  const [first] = items;
  if (first === undefined) return { state: 'pass', found: 'nothing within 60 days' };
  return { state: first.overdue ? 'fail' : 'warn', found: first.message, fix: first.command };
}

/** Emergency access that nobody has looked at. */
async function reviews(database: Database): Promise<Omit<Finding, 'check'>> {
  const { inForce, unreviewed } = await countEmergencies(database, systemClock.now());
  if (unreviewed === 0) return { state: 'pass', found: 'none open' };
  const over = unreviewed - inForce;
  const found = `emergency access: ${inForce} in force, ${over} over and not reviewed`;
  return { state: 'warn', found, fix: 'writ break-glass list --unreviewed' };
}

async function reachable(
  config: Config,
  directory: DataDirectory,
  hierarchy: Hierarchy,
): Promise<Omit<Finding, 'check'>> {
  const { api } = listenOf(config, directory);
  const readiness = await askReadiness(api, hierarchy);
  switch (readiness.state) {
    case 'ready':
      return { state: 'pass', found: `ready at https://${shownAddress(api, config)}` };
    case 'not_ready':
      return { state: 'fail', found: readiness.detail, fix: 'look at its log' };
    case 'stopped':
      return { state: 'warn', found: 'not running', fix: 'writ start' };
    case 'strange':
      return {
        state: 'fail',
        found: readiness.detail,
        fix: `see which program has ${api}: ss -ltnp`,
      };
  }
}

function operator(directory: DataDirectory): Omit<Finding, 'check'> {
  const path = join(directory.operator, 'operator.json');
  if (!existsSync(path)) return { state: 'warn', found: 'not here', fix: 'writ operator add NAME' };
  const { chain, name } = readCredential(path);
  const { notAfter } = parseCertificate(decodePem(chain[0]!, 'CERTIFICATE'));
  const days = Math.floor((notAfter - systemClock.now()) / DAY_MS);
  const fix = `writ operator add ${name} --replace --out ${name}-operator.json`;
  if (days < 0) return { state: 'fail', found: `${name}’s has expired`, fix };
  return days < 7
    ? { state: 'warn', found: `${name}’s expires in ${days} days`, fix }
    : { state: 'pass', found: `${name}, ${days} days left` };
}
