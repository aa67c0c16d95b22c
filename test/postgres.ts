/**
 * Throw-away PostgreSQL for tests, from the binaries of Debian's `postgresql` package (or any on the usual paths).
 *
 * A cluster lies in a fresh temporary directory, listens on a unix socket there (and on loopback only when asked), runs
 * as an unprivileged user because `initdb` refuses root, keeps `fsync` on because Writ refuses it off, and ends with
 * the process that started it.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { noteGap } from './gaps.ts';

/** How to reach a database of the cluster: what `openPostgres` takes. */
export interface PostgresAddress {
  /** The directory of the unix socket. */
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly database: string;
}

export interface TestPostgres {
  /** The database `postgres`; as JSON in the environment variable `WRIT_TEST_POSTGRES` it lets other processes share this. */
  readonly address: PostgresAddress;
  /** Makes an empty database. */
  database(): Promise<PostgresAddress>;
  /** TCP port on 127.0.0.1; the socket's port is the same. */
  readonly port: number;
  /** `immediate` is what a crash leaves behind: nothing is flushed, recovery runs at the next start. */
  stop(how?: 'fast' | 'immediate'): Promise<void>;
  /** After `stop`: the same cluster with the same data, with further settings when given. */
  start(settings?: Readonly<Record<string, string>>): Promise<void>;
}

export interface ClusterOptions {
  /** Server settings, as in postgresql.conf. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Lines of pg_hba.conf. Default: everybody who reaches the socket is trusted; nobody else reaches its directory. */
  readonly access?: readonly string[];
  /** Also listen on 127.0.0.1. */
  readonly tcp?: boolean;
  /** Files to put beside the data, owned by the server's user, mode 0600; `%folder%` in a setting names the place. */
  readonly files?: Readonly<Record<string, string>>;
}

/** Set by the test runner when it has started one cluster for all test processes: its `PostgresAddress` as JSON. */
const SHARED = 'WRIT_TEST_POSTGRES';

/**
 * Undefined when PostgreSQL can be started here; otherwise the reason, which is also noted for the end of the run. For
 * `test('…', { skip: postgresMissing() ?? false }, …)`.
 */
export function postgresMissing(): string | undefined {
  if (process.env[SHARED] !== undefined || binaries() !== undefined) return undefined;
  const line = 'PostgreSQL: no server binaries found (Debian: apt-get install postgresql)';
  noteGap(line);
  return line;
}

let shared: Promise<TestPostgres> | undefined;

/** An empty database on the cluster that this process (or the whole run) shares. */
export async function testDatabase(): Promise<PostgresAddress> {
  const address = process.env[SHARED];
  if (address !== undefined) return createDatabase(JSON.parse(address) as PostgresAddress);
  shared ??= startPostgres();
  return (await shared).database();
}

/** A cluster of one's own, for tests that stop it or set it up differently. */
export async function startPostgres(options: ClusterOptions = {}): Promise<TestPostgres> {
  const bin = binaries();
  if (bin === undefined) throw new Error('no PostgreSQL binaries; ask postgresMissing() first');
  const folder = mkdtempSync(join(clusterFolder(), 'writ-pg-'));
  const data = join(folder, 'data');
  const user = serverUser();
  for (const [name, text] of Object.entries(options.files ?? {})) {
    writeFileSync(join(folder, name), text, { mode: 0o600 });
    if (user !== undefined) chownSync(join(folder, name), user.uid, user.gid);
  }
  if (user !== undefined) chownSync(folder, user.uid, user.gid);
  const initdb = ['-D', data, '-U', 'writ', '-A', 'trust', '-E', 'UTF8', '--no-sync', ...locale(bin)];
  execFileSync(join(bin, 'initdb'), initdb, { ...user, stdio: ['ignore', 'ignore', 'pipe'], cwd: folder });
  if (options.access !== undefined) writeFileSync(join(data, 'pg_hba.conf'), `${options.access.join('\n')}\n`);

  const port = await freePort();
  const socket: PostgresAddress = { host: folder, port, user: 'writ', database: 'postgres' };
  let server: ChildProcess | undefined;
  const killAtExit = (): void => {
    // An immediate shutdown, which frees the shared memory that SIGKILL would leave behind. The file goes with it: before
    // that the server still writes beside whoever removes its directory.
    if (server?.kill('SIGQUIT') === true) waitWhile(() => existsSync(join(data, 'postmaster.pid')));
    rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 20 });
  };
  process.on('exit', killAtExit);

  async function start(settings: Readonly<Record<string, string>> = {}): Promise<void> {
    const all = {
      shared_buffers: '32MB',
      max_connections: '200',
      dynamic_shared_memory_type: 'mmap',
      ...options.settings,
      ...settings,
    };
    const args = ['-D', data, '-k', folder, '-p', String(port), '-h', options.tcp === true ? '127.0.0.1' : ''];
    for (const [name, value] of Object.entries(all)) args.push('-c', `${name}=${value.replaceAll('%folder%', folder)}`);
    const child = spawnTied(join(bin!, 'postgres'), args, user, folder);
    server = child;
    let output = '';
    child.stderr?.on('data', (chunk: Buffer) => {
      output = (output + chunk.toString()).slice(-4000);
    });
    // A test process ends when its tests have, whatever still runs.
    child.unref();
    for (const stream of [child.stderr, child.stdout]) (stream as { unref?: () => void } | null)?.unref?.();
    for (let tries = 0; ; tries++) {
      if (child.exitCode !== null) throw new Error(`PostgreSQL did not start:\n${output}`);
      if (await answers(socket)) return;
      if (tries > 400) throw new Error(`PostgreSQL does not answer:\n${output}`);
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
  }

  await start();
  return {
    address: socket,
    port,
    database: () => createDatabase(socket),
    start,
    stop: (how = 'fast') =>
      new Promise((resolve) => {
        const child = server;
        if (child === undefined || child.exitCode !== null || child.signalCode !== null) return resolve();
        child.ref();
        child.once('exit', () => resolve());
        child.kill(how === 'fast' ? 'SIGINT' : 'SIGQUIT');
      }),
  };
}

/** Waits for at most five seconds, where nothing else can be done meanwhile. */
function waitWhile(lasts: () => boolean): void {
  const nobody = new Int32Array(new SharedArrayBuffer(4));
  for (let tries = 0; tries < 250 && lasts(); tries++) Atomics.wait(nobody, 0, 0, 20);
}

/**
 * In memory where there is plenty: making a database takes 30 ms there and ten times as long on a busy disk. What a crash
 * of the server leaves behind is the same, since memory outlives it.
 */
function clusterFolder(): string {
  const memory = '/dev/shm';
  if (process.env['TMPDIR'] !== undefined || !existsSync(memory)) return tmpdir();
  const { bavail, bsize } = statfsSync(memory);
  return bavail * bsize > 4 * 2 ** 30 ? memory : tmpdir();
}

async function createDatabase(address: PostgresAddress): Promise<PostgresAddress> {
  const database = `t_${randomBytes(6).toString('hex')}`;
  const client = new pg.Client(address);
  await client.connect();
  try {
    await client.query(`CREATE DATABASE ${database}`);
  } finally {
    await client.end();
  }
  return { ...address, database };
}

async function answers(address: PostgresAddress): Promise<boolean> {
  const client = new pg.Client(address);
  client.on('error', () => undefined);
  try {
    await client.connect();
    await client.end();
    return true;
  } catch (error) {
    // A server that asks for a password is up.
    return error instanceof Error && 'code' in error && error.code === '28P01';
  }
}

/** Sorts as people do where the server can, so that code which leans on the server's own order shows. */
function locale(bin: string): string[] {
  const version = /(\d+)/.exec(execFileSync(join(bin, 'postgres'), ['--version'], { encoding: 'utf8' }))?.[1];
  const icu = Number(version) >= 15 && execFileSync(join(bin, 'pg_config'), ['--configure']).includes('--with-icu');
  return ['--locale=C.UTF-8', ...(icu ? ['--locale-provider=icu', '--icu-locale=en-US'] : [])];
}

function binaries(): string | undefined {
  const places: string[] = [];
  const debian = '/usr/lib/postgresql';
  if (existsSync(debian)) {
    const versions = readdirSync(debian).sort((a, b) => Number(b) - Number(a));
    places.push(...versions.map((version) => join(debian, version, 'bin')));
  }
  places.push(...(process.env['PATH'] ?? '').split(':'));
  return places.find((place) => existsSync(join(place, 'initdb')) && existsSync(join(place, 'postgres')));
}

/** Undefined when the process is no root and the server may run as the same user. */
function serverUser(): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined;
  for (const name of ['postgres', 'nobody']) {
    try {
      const id = (flag: string): number =>
        Number(execFileSync('id', [flag, name], { stdio: ['ignore', 'pipe', 'ignore'] }));
      return { uid: id('-u'), gid: id('-g') };
    } catch {}
  }
  throw new Error('PostgreSQL does not run as root, and there is neither a user postgres nor nobody');
}

/** Where `setpriv` exists the server dies with this process even when that is killed. */
function spawnTied(
  file: string,
  args: readonly string[],
  user: { uid: number; gid: number } | undefined,
  cwd: string,
): ChildProcess {
  const stdio = ['ignore', 'ignore', 'pipe'] as const;
  if (!existsSync('/usr/bin/setpriv')) return spawn(file, args, { ...user, stdio: [...stdio], cwd });
  const drop = user === undefined ? [] : [`--reuid=${user.uid}`, `--regid=${user.gid}`, '--clear-groups'];
  return spawn('/usr/bin/setpriv', [...drop, '--pdeathsig', 'QUIT', file, ...args], { stdio: [...stdio], cwd });
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}
