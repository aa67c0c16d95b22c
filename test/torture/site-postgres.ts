import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import type { OperatorCredential } from '../../src/cli/credential.ts';
import type { Reader } from '../../src/db/database.ts';
import { openPostgres } from '../../src/db/postgres.ts';
import type { Choices } from '../fuzz/random.ts';
import { type PostgresAddress, startPostgres, type TestPostgres } from '../postgres.ts';
import type { ProgramOptions } from '../program.ts';
import type { Door } from './door.ts';
import { removeScratch, scratchFolder } from './scratch.ts';
import {
  CONFIG,
  openDoor,
  type Place,
  type Replica,
  readOperator,
  type Site,
  slay,
  untilReady,
  watch,
} from './site.ts';
import type { Tally } from './tally.ts';

/**
 * Two replicas on one PostgreSQL. What is killed: a replica while the other goes on, both, the database server (and it
 * recovers from its log), or one of its backends, which makes it end all sessions and recover.
 */
export class PostgresSite implements Site {
  readonly engine = 'postgres';
  readonly #folder: string = scratchFolder('writ-torture-');
  readonly #tally: Tally;
  readonly #options: ProgramOptions;
  readonly #replicas: readonly Replica[];
  #cluster: TestPostgres | undefined;
  #address: PostgresAddress | undefined;
  #running = false;
  #operator: OperatorCredential | undefined;

  constructor(tally: Tally, options: ProgramOptions) {
    this.#tally = tally;
    this.#options = options;
    this.#replicas = ['one', 'two'].map((name) => {
      const data = join(this.#folder, name);
      return { data, anchor: `${data}-anchor`, door: undefined };
    });
  }

  get places(): readonly Place[] {
    return this.#replicas;
  }

  async begin(): Promise<void> {
    this.#cluster = await startPostgres({ settings: { restart_after_crash: 'on' } });
    this.#address = await this.#cluster.database();
    this.#running = true;
    const [first, second] = this.#replicas as [Replica, Replica];
    const { host, port, user, database } = this.#address;
    const config = join(this.#folder, 'config.json');
    const engine = { engine: 'postgres', host, port, user, database };
    writeFileSync(config, JSON.stringify({ ...CONFIG, requestThreads: 1, anchor: first.anchor, database: engine }));
    await this.#start(first, ['--config', config]);
    // The second one is given the configuration and the passphrase, and makes nothing of its own.
    mkdirSync(second.data, { mode: 0o700 });
    const given = JSON.parse(readFileSync(join(first.data, 'config.json'), 'utf8')) as object;
    writeFileSync(join(second.data, 'config.json'), JSON.stringify({ ...given, anchor: second.anchor }), {
      mode: 0o600,
    });
    await this.#start(second, []);
  }

  async strike(choices: Choices): Promise<string> {
    this.#tally.kills++;
    const [first, second] = this.#replicas as [Replica, Replica];
    switch (choices.below(8)) {
      case 0:
      case 1:
        await slay(first);
        return 'one replica';
      case 2:
      case 3:
        await slay(second);
        return 'the other replica';
      case 4:
        await Promise.all([slay(first), slay(second)]);
        return 'both replicas';
      case 5:
        this.#running = false;
        await this.#cluster!.stop('immediate');
        return 'the database server';
      case 6:
        this.#running = false;
        await Promise.all([slay(first), this.#cluster!.stop('immediate')]);
        return 'the database server and a replica';
      default:
        await this.#killBackend(choices);
        return 'a backend of the database server';
    }
  }

  async restore(): Promise<void> {
    if (!this.#running) await this.#cluster!.start();
    this.#running = true;
    await Promise.all(
      this.#replicas.map(async (replica) => {
        if (replica.door === undefined) {
          const door = await this.#start(replica, []);
          this.#tally.starts.push(door.server.startMs);
        }
        if (replica.door !== undefined) await untilReady(replica.door, this.#tally);
      }),
    );
  }

  doors(): readonly Door[] {
    return this.#replicas.flatMap(({ door }) => (door === undefined ? [] : [door]));
  }

  async snapshot<T>(read: (reader: Reader) => Promise<T>): Promise<T> {
    const database = await openPostgres(this.#address!);
    try {
      return await database.transaction(async (tx) => {
        await tx.run('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ');
        return read(tx);
      });
    } finally {
      await database.close();
    }
  }

  /** The first place last: its anchor is verified, and one of them follows what the others commit only while its server runs. */
  async stop(): Promise<readonly (number | null)[]> {
    const codes: (number | null)[] = [];
    for (const replica of this.#replicas.toReversed()) {
      const { door } = replica;
      if (door === undefined) continue;
      replica.door = undefined;
      door.close();
      codes.push((await door.server.stop()).code);
    }
    return codes;
  }

  async end(): Promise<void> {
    for (const replica of this.#replicas) await slay(replica);
    await this.#cluster?.stop('immediate');
    removeScratch(this.#folder);
  }

  /** `kill -9` of a session of Writ; the database server then ends all others and recovers by itself. */
  async #killBackend(choices: Choices): Promise<void> {
    const client = new pg.Client(this.#address!);
    client.on('error', () => undefined);
    try {
      await client.connect();
      const { rows } = await client.query<{ pid: number }>(
        "SELECT pid FROM pg_stat_activity WHERE application_name = 'writ' AND pid <> pg_backend_pid() ORDER BY pid",
      );
      if (rows.length > 0) process.kill(choices.pick(rows).pid, 'SIGKILL');
    } finally {
      await client.end().catch(() => undefined);
    }
  }

  async #start(replica: Replica, args: readonly string[]): Promise<Door> {
    const first = this.#replicas[0]!.data;
    const passphrase = ['--passphrase-file', `${first}-passphrase`];
    const door = await openDoor(replica, () => (this.#operator ??= readOperator(first)), {
      ...this.#options,
      args: replica.data === first ? args : [...args, ...passphrase],
    });
    replica.door = door;
    watch(door.server, replica, this.#tally);
    return door;
  }
}
