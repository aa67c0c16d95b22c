import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { OperatorCredential } from '../../src/cli/credential.ts';
import type { Reader } from '../../src/db/database.ts';
import { openSqlite } from '../../src/db/sqlite.ts';
import { copySqlite } from '../../src/db/sqlite-copy.ts';
import type { ProgramOptions } from '../program.ts';
import type { Door } from './door.ts';
import { removeScratch, scratchFolder } from './scratch.ts';
import { CONFIG, openDoor, type Place, type Replica, readOperator, type Site, slay, watch } from './site.ts';
import type { Tally } from './tally.ts';

/** One server on the embedded engine. What is killed is the server. */
export class SqliteSite implements Site {
  readonly engine = 'sqlite';
  readonly #folder: string = scratchFolder('writ-torture-');
  readonly #tally: Tally;
  readonly #options: ProgramOptions;
  readonly #replica: Replica;
  #operator: OperatorCredential | undefined;

  constructor(tally: Tally, options: ProgramOptions) {
    this.#tally = tally;
    this.#options = options;
    const data = join(this.#folder, 'writ-data');
    this.#replica = { data, anchor: `${data}-anchor`, door: undefined };
  }

  get places(): readonly Place[] {
    return [this.#replica];
  }

  async begin(): Promise<void> {
    const config = join(this.#folder, 'config.json');
    writeFileSync(config, JSON.stringify({ ...CONFIG, anchor: this.#replica.anchor }));
    await this.#start(['--config', config]);
  }

  async strike(): Promise<string> {
    this.#tally.kills++;
    await slay(this.#replica);
    return 'server';
  }

  async restore(): Promise<void> {
    if (this.#replica.door !== undefined) return;
    const { startMs } = (await this.#start([])).server;
    this.#tally.starts.push(startMs);
  }

  doors(): readonly Door[] {
    return this.#replica.door === undefined ? [] : [this.#replica.door];
  }

  async snapshot<T>(read: (reader: Reader) => Promise<T>): Promise<T> {
    const copy = join(this.#folder, 'snapshot.db');
    rmSync(copy, { force: true });
    copySqlite(join(this.#replica.data, 'writ.db'), copy);
    const reader = openSqlite({ path: copy, readOnly: true });
    try {
      return await read(reader);
    } finally {
      await reader.close();
    }
  }

  async stop(): Promise<readonly (number | null)[]> {
    const { door } = this.#replica;
    this.#replica.door = undefined;
    if (door === undefined) return [];
    door.close();
    return [(await door.server.stop()).code];
  }

  async end(): Promise<void> {
    await slay(this.#replica);
    removeScratch(this.#folder);
  }

  async #start(args: readonly string[]): Promise<Door> {
    const { data } = this.#replica;
    const door = await openDoor(this.#replica, () => (this.#operator ??= readOperator(data)), {
      ...this.#options,
      args,
    });
    this.#replica.door = door;
    watch(door.server, this.#replica, this.#tally);
    return door;
  }
}
