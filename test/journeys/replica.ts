/** Several machines that run one installation on one PostgreSQL: each has its own data directory and the passphrase. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import pg from 'pg';
import { type PostgresAddress, testDatabase } from '../postgres.ts';
import { DidNotStart, type ProgramOptions, type RunningServer, startServer } from '../program.ts';
import { cli, type Said } from '../server.ts';

const TRUST_DOMAIN = 'agents.example.com';

export interface Machine {
  /** Configuration that the machine's administrator wrote. */
  readonly config: string;
  readonly data: string;
  /** File with the passphrase of the installation. */
  readonly passphrase: string;
  /** Where the credential of the first operator is, when it was made here. */
  readonly operator: string;
  /** Runs the server; with `--config` as at the first start. It is killed when the tests have ended. */
  start(options?: ProgramOptions & { readonly args?: readonly string[] }): Promise<RunningServer>;
  /** Runs a command line on this machine, as an operator of the server at `server` where it speaks to one. */
  cli(argv: readonly string[], as?: { readonly server: string; readonly operator: string }): Promise<Said>;
}

export interface Site {
  readonly address: PostgresAddress;
  readonly scratch: string;
  /** Asks the database itself. */
  query(sql: string): Promise<Record<string, unknown>[]>;
  /** Sets up one more machine. */
  machine(options?: { readonly passphrase?: string; readonly trustDomain?: string }): Machine;
}

/** An empty database, and machines that can reach it. Files are removed after the tests. */
export async function newSite(address?: PostgresAddress): Promise<Site> {
  const database = address ?? (await testDatabase());
  const scratch = mkdtempSync(join(tmpdir(), 'writ-replicas-'));
  const running: RunningServer[] = [];
  after(async () => {
    await Promise.all(running.map((server) => server.kill()));
    rmSync(scratch, { recursive: true, force: true, maxRetries: 5 });
  });
  const shared = join(scratch, 'passphrase');
  writeFileSync(shared, 'correct horse battery staple\n', { mode: 0o600 });
  let machines = 0;
  return {
    address: database,
    scratch,
    async query(sql) {
      const client = new pg.Client(database);
      await client.connect();
      try {
        return (await client.query(sql)).rows as Record<string, unknown>[];
      } finally {
        await client.end();
      }
    },
    machine({ passphrase = shared, trustDomain = TRUST_DOMAIN } = {}) {
      const folder = mkdtempSync(join(scratch, `machine-${++machines}-`));
      const [data, config] = [join(folder, 'writ-data'), join(folder, 'writ.json')];
      const value = {
        ...{ trustDomain, anchor: join(folder, 'anchor'), requestThreads: 1, logLevel: 'warn' },
        database: { engine: 'postgres', ...database, pool: 2 },
      };
      writeFileSync(config, JSON.stringify(value));
      const flags = ['--config', config, '--passphrase-file', passphrase];
      return {
        ...{ config, data, passphrase, operator: join(`${data}-operator`, 'operator.json') },
        async start({ args = flags, ...options } = {}) {
          const server = await startServer(data, { ...options, args });
          running.push(server);
          return server;
        },
        cli: (argv, as) => cli(argv, { data, 'passphrase-file': passphrase, ...as }),
      };
    },
  };
}

/** What a command says of itself when it fails. */
export interface Fault {
  readonly code: string;
  readonly message: string;
  readonly field?: string;
  readonly next: string;
}

/** The one error that a start ended with. */
export async function faultOf(start: Promise<RunningServer>): Promise<Fault> {
  const error = await start.then(
    () => assert.fail('it started'),
    (error: unknown) => error,
  );
  assert.ok(error instanceof DidNotStart, String(error));
  const last = error.ended.stderr.trim().split('\n').at(-1)!;
  return (JSON.parse(last) as { error: Fault }).error;
}
