/** What a start refuses, each in one sentence that says what to do next. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { chmodSync, cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { before, describe, it } from 'node:test';
import { openSqlite } from '../../src/db/sqlite.ts';
import { startServer, writ } from '../program.ts';
import { copyInstallation, failureOf, refusalOf, run, scratchDirectory } from './authority.ts';

const scratch = scratchDirectory();
const made = join(scratch, 'made');

before(async () => {
  await (await run(made)).server.stop();
});

/** A copy of an installation that was stopped in order. */
function copy(name: string): string {
  return copyInstallation(made, join(scratch, name));
}

async function refusal(data: string, args: readonly string[] = []): Promise<string> {
  return refusalOf(await failureOf(startServer(data, { args })));
}

async function change(data: string, sql: string): Promise<void> {
  const database = openSqlite({ path: join(data, 'writ.db') });
  await database.transaction((tx) => tx.run(sql));
  await database.close();
}

describe('a start', { concurrency: 3 }, () => {
  it('refuses data of a newer version', async () => {
    const data = copy('newer');
    await change(data, "INSERT INTO migration (number, name, digest, applied_at) VALUES (9999, 'x', 'x', 0)");
    assert.match(await refusal(data), /^newer_version: The database was written by a newer version of Writ/);
    const backup = await writ(['backup', `${data}-backup`, '--data', data]);
    assert.equal(backup.code, 1);
    assert.match(backup.stderr, /^error: .*newer version.*\nnext: Run that version/m);
    const verified = await writ(['ledger', 'verify', '--data', data]);
    assert.equal(verified.code, 1);
    assert.match(verified.stderr, /^error: .*newer version.*\nnext: Run that version/m);
    assert.match(
      (await writ(['doctor', '--data', data])).stdout,
      /^FAIL +database +The database was .* newer version/m,
    );
  });

  it('refuses a configuration of a newer version', async () => {
    const data = copy('newer-config');
    const config = join(data, 'config.json');
    writeFileSync(config, JSON.stringify({ ...JSON.parse(readFileSync(config, 'utf8')), tenants: 2 }));
    assert.match(await refusal(data), /^bad_config: .*not a known key/);
  });

  it('refuses a wrong passphrase, and one that is gone', async () => {
    const data = copy('passphrase');
    writeFileSync(`${data}-passphrase`, 'another passphrase altogether\n');
    assert.match(await refusal(data), /^wrong_passphrase: The passphrase does not open the keys/);
    chmodSync(`${data}-passphrase`, 0o644);
    assert.match(await refusal(data), /^unsafe_permissions: .*open to others/);
    rmSync(`${data}-passphrase`);
    assert.match(await refusal(data), /^not_found: The passphrase of this installation is not on this machine/);
  });

  it('refuses an address that somebody has', async () => {
    const data = copy('port');
    const listener = createServer().listen(0, '127.0.0.1');
    await once(listener, 'listening');
    const { port } = listener.address() as { port: number };
    assert.match(
      await refusal(data, ['--listen', `127.0.0.1:${port}`]),
      new RegExp(`^bad_config: The address 127.0.0.1:${port} is taken`),
    );
    listener.close();
    assert.match(await refusal(data, ['--listen', '192.0.2.1:0']), /^bad_config: .*192\.0\.2\.1:0/);
  });

  it('names all addresses that somebody has, and makes nothing', async () => {
    const data = join(scratch, 'ports');
    const listeners = [1, 2, 3].map(() => createServer().listen(0, '127.0.0.1'));
    await Promise.all(listeners.map((listener) => once(listener, 'listening')));
    const [api, open, plain] = listeners.map((one) => `127.0.0.1:${(one.address() as { port: number }).port}`);
    const all = ['--listen', api!, '--listen-public', open!, '--listen-plain', plain!];
    assert.equal(await refusal(data, all), `bad_config: The addresses ${api}, ${open} and ${plain} are taken`);
    const two = ['--listen', '192.0.2.1:1', '--listen-plain', plain!];
    assert.equal(
      await refusal(data, two),
      `bad_config: The address ${plain} is taken, and Writ cannot listen on 192.0.2.1:1`,
    );
    assert.deepEqual(
      readdirSync(scratch).filter((name) => name.startsWith('ports')),
      [],
    );
    for (const listener of listeners) listener.close();
  });

  it('refuses a directory on which another server runs, and a port of that', async () => {
    const data = copy('second');
    const { server } = await run(data);
    assert.match(await refusal(data), /^locked: Another server runs on this data directory/);
    const other = copy('other');
    const address = server.api.slice('https://'.length);
    assert.match(
      await refusal(other, ['--listen', address]),
      new RegExp(`^bad_config: The address ${address} is taken`),
    );
    assert.equal((await server.stop()).code, 0);
    await (await run(data)).server.stop();
  });

  it('refuses a database that is gone, foreign or no database', async () => {
    const data = copy('gone');
    for (const file of ['writ.db', 'writ.db-wal', 'writ.db-shm']) rmSync(join(data, file), { force: true });
    assert.match(await refusal(data), /^behind_anchor: The configuration is here, but the database is gone/);
    writeFileSync(join(data, 'writ.db'), 'no database at all'.repeat(100), { mode: 0o600 });
    assert.match(await refusal(data), /^bad_config: The database file is not an SQLite database/);
  });

  it('refuses the anchor of another installation', async () => {
    const data = copy('anchor');
    const foreign = join(scratch, 'foreign');
    await (await run(foreign)).server.stop();
    rmSync(`${data}-anchor`, { recursive: true });
    cpSync(`${foreign}-anchor`, `${data}-anchor`, { recursive: true });
    assert.match(await refusal(data), /^bad_config: the checkpoint in the anchor directory is not one of this ledger/);
  });

  it('refuses what others can read, and what is somebody else’s', async () => {
    const data = copy('open');
    chmodSync(data, 0o755);
    assert.match(await refusal(data), /^unsafe_permissions: Others than its owner can open the data directory/);
    const foreign = join(scratch, 'not-ours');
    cpSync(data, foreign, { recursive: true });
    for (const file of ['config.json', 'writ.db', 'writ.db-wal', 'writ.db-shm'])
      rmSync(join(foreign, file), { force: true });
    writeFileSync(join(foreign, 'thesis.txt'), '');
    assert.match(await refusal(foreign), /^bad_config: The data directory is not empty/);
  });

  it('refuses a trust domain that no name constraint can hold', async () => {
    for (const [name, said] of [
      ['127.0.0.1', /address/],
      ['localhost', /label/],
      ['Agents.Example.com', /upper-case/],
    ] as const) {
      const refused = await refusal(join(scratch, `domain-${name}`), ['--trust-domain', name]);
      assert.match(refused, /^bad_spiffe_id: /);
      assert.match(refused, said);
    }
  });

  it('refuses another name than those that are there', async () => {
    const data = copy('names');
    const refused = await refusal(data, ['--name', 'writ.writ.internal']);
    assert.match(refused, /^conflict: The names of this server are localhost, 127\.0\.0\.1, ::1/);
    const { server } = await run(data, { args: ['--name', 'localhost'] });
    await server.stop();
  });

  it('refuses flags that were for the first start, where they say something else', async () => {
    const data = copy('root');
    for (const [flags, said] of [
      [['--root-key-out', join(scratch, 'root.key')], /^conflict: The root of this installation was made without/],
      [['--permit-dns', 'corp.example'], /^conflict: The root of this installation permits other names/],
      [['--permit-ip', '10.0.0.0/8'], /^conflict: The root of this installation permits other names/],
      [['--algorithm', 'ml-dsa-65'], /^conflict: The authorities of this installation have keys of kind ecdsa-p256/],
      [['--no-loopback'], /^conflict: The root of this installation permits localhost and loopback addresses/],
    ] as const) {
      assert.match(await refusal(data, flags), said);
    }
    const same = ['--permit-dns', 'localhost', '--permit-ip', '127.0.0.0/8', '--algorithm', 'ecdsa-p256'];
    const { server } = await run(data, { args: same });
    await server.stop();
  });

  it('says what init would do, or refuse, and makes nothing', async () => {
    const data = join(scratch, 'dry');
    const dry = (...flags: string[]) => writ(['init', '--dry-run', '--data', data, ...flags]);
    const would = await dry('--trust-domain', 'agents.example.com', '--name', 'writ.agents.example.com');
    assert.match(
      would.stdout,
      /^Would make the installation of agents\.example\.com .* writ\.agents\.example\.com, loc/,
    );
    const outside = ['--name', 'writ.example.org'];
    for (const refused of [await dry(...outside), await writ(['init', '--data', data, ...outside])]) {
      assert.equal(refused.code, 2);
      assert.match(refused.stderr, /would not vouch for writ\.example\.org/);
    }
    assert.equal((await writ(['init', '--dry-run', '--data', made])).code, 8);
    assert.deepEqual(
      readdirSync(scratch).filter((name) => name.startsWith('dry')),
      [],
    );
  });

  it('does not join what is not there, and makes nothing', async () => {
    const data = join(scratch, 'join');
    const joined = await writ(['init', '--join', '--data', data]);
    assert.equal(joined.code, 3);
    assert.match(joined.stderr, /There is no installation in this database/);
    const decided = await writ(['init', '--join', '--data', data, '--algorithm', 'ml-dsa-65']);
    assert.equal(decided.code, 2);
    assert.match(decided.stderr, /One more replica has the authorities of the others.*--algorithm/);
    assert.deepEqual(
      readdirSync(scratch).filter((name) => name.startsWith('join')),
      [],
    );
  });

  it('refuses a ledger that was altered', async () => {
    const data = copy('altered');
    await change(
      data,
      "UPDATE ledger_entry SET entry = CAST('{}' AS BLOB) WHERE leaf = (SELECT MAX(leaf) FROM ledger_entry)",
    );
    assert.match(await refusal(data), /^ledger_corrupt: /);
  });
});
