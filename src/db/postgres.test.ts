import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import pg from 'pg';
import { type PostgresAddress, postgresMissing, startPostgres, type TestPostgres } from '../../test/postgres.ts';
import { isWritError } from '../base/error.ts';
import type { Database } from './database.ts';
import { openPostgres } from './postgres.ts';

const skip = postgresMissing() ?? false;
const folder = mkdtempSync(join(tmpdir(), 'writ-pg-test-'));
const PASSWORD = "canary'pass word";

/** A server of our own: these tests stop it and set it up badly. It takes a password over TLS on loopback. */
let cluster: TestPostgres;
if (skip === false) {
  makeCertificate();
  cluster = await startPostgres({
    tcp: true,
    settings: { ssl: 'on', ssl_cert_file: '%folder%/server.crt', ssl_key_file: '%folder%/server.key' },
    access: ['local all all trust', 'hostssl all all 127.0.0.1/32 scram-sha-256'],
    files: {
      'server.crt': readFileSync(join(folder, 'server.crt'), 'utf8'),
      'server.key': readFileSync(join(folder, 'server.key'), 'utf8'),
    },
  });
}
after(async () => {
  await cluster?.stop('immediate');
  rmSync(folder, { recursive: true });
});

function makeCertificate(): void {
  execFileSync(
    'openssl',
    ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'].concat(
      ['-subj', '/CN=test', '-addext', 'subjectAltName=DNS:localhost'],
      ['-keyout', join(folder, 'server.key'), '-out', join(folder, 'server.crt')],
    ),
    { stdio: 'ignore' },
  );
}

/** Says something to the server past Writ. */
async function superuser(address: PostgresAddress, ...statements: string[]): Promise<void> {
  const client = new pg.Client(address);
  await client.connect();
  try {
    for (const statement of statements) await client.query(statement);
  } finally {
    await client.end();
  }
}

async function withItems(address: PostgresAddress): Promise<Database> {
  await superuser(address, 'CREATE TABLE item (id BIGINT PRIMARY KEY)');
  return openPostgres(address);
}

const put = (database: Database, id: number): Promise<number> =>
  database.transaction((tx) => tx.run('INSERT INTO item (id) VALUES (?)', [id]));

async function ids(database: Database): Promise<unknown[]> {
  return (await database.all('SELECT id FROM item ORDER BY id')).map((row) => row['id']);
}

test('settings that lose acknowledged commits are refused by name', { skip }, async () => {
  const address = await cluster.database();
  const systemWide = (setting: string): [string, string, string] => [
    setting,
    `ALTER SYSTEM SET ${setting} = off`,
    `ALTER SYSTEM RESET ${setting}`,
  ];
  const cases = [
    systemWide('fsync'),
    systemWide('full_page_writes'),
    systemWide('synchronous_commit'),
    [
      'synchronous_commit',
      `ALTER DATABASE ${address.database} SET synchronous_commit = off`,
      `ALTER DATABASE ${address.database} RESET synchronous_commit`,
    ],
    ['synchronous_commit', 'ALTER ROLE writ SET synchronous_commit = off', 'ALTER ROLE writ RESET synchronous_commit'],
  ] as const;
  for (const [setting, spoil, repair] of cases) {
    await superuser(address, spoil, 'SELECT pg_reload_conf()', 'SELECT pg_sleep(0.1)');
    await assert.rejects(
      openPostgres(address),
      (error) =>
        isWritError(error, 'unsafe_database') &&
        error.field === setting &&
        error.message.includes(setting) &&
        error.remedy?.includes(setting) === true,
      spoil,
    );
    await superuser(address, repair, 'SELECT pg_reload_conf()', 'SELECT pg_sleep(0.1)');
  }
  await (await openPostgres(address)).close();
});

test('a server that crashes and comes back is used again, with all that was acknowledged', { skip }, async () => {
  const address = await cluster.database();
  const database = await withItems(address);
  try {
    await put(database, 1);
    assert.deepEqual(await ids(database), [1]);
    await cluster.stop('immediate');
    await assert.rejects(
      put(database, 2),
      (error) => isWritError(error, 'storage_failed') && error.field === undefined,
    );
    await assert.rejects(ids(database), (error) => isWritError(error, 'storage_failed'));
    await cluster.start();
    await put(database, 3);
    assert.deepEqual(await ids(database), [1, 3]);
  } finally {
    await database.close();
  }
});

test('a read whose connection was cut is asked again', { skip }, async () => {
  const address = await cluster.database();
  const database = await withItems(address);
  try {
    const reads = Array.from({ length: 3 }, () => database.get('SELECT pg_sleep(0.3)'));
    await new Promise((resolve) => setTimeout(resolve, 100));
    const others = `FROM pg_stat_activity WHERE datname = '${address.database}' AND pid <> pg_backend_pid()`;
    await superuser(address, `SELECT pg_terminate_backend(pid) ${others} AND query LIKE '%pg_sleep%'`);
    assert.equal((await Promise.all(reads)).length, 3);
  } finally {
    await database.close();
  }
});

test('a commit cut off half-way is of unknown outcome; one that the server refuses is not', { skip }, async () => {
  const address = await cluster.database();
  const database = await withItems(address);
  await superuser(
    address,
    `CREATE FUNCTION stall() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
       IF NEW.id = 66 THEN RAISE EXCEPTION 'refused'; END IF;
       IF NEW.id >= 100 THEN PERFORM pg_sleep(30); END IF;
       RETURN NULL;
     END $$`,
    `CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON item DEFERRABLE INITIALLY DEFERRED
       FOR EACH ROW EXECUTE FUNCTION stall()`,
  );
  try {
    await assert.rejects(put(database, 66), (error) => isWritError(error) && error.field === undefined);
    await put(database, 1);

    const cut = put(database, 100);
    cut.catch(() => undefined);
    await new Promise((resolve) => setTimeout(resolve, 200));
    await superuser(
      address,
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${address.database}' AND query = 'COMMIT'`,
    );
    await assert.rejects(cut, (error) => isWritError(error, 'storage_failed') && error.field === 'commit');

    const lost = put(database, 101);
    lost.catch(() => undefined);
    await new Promise((resolve) => setTimeout(resolve, 200));
    await cluster.stop('immediate');
    await assert.rejects(lost, (error) => isWritError(error, 'storage_failed') && error.field === 'commit');
    await cluster.start();
    await put(database, 2);
    assert.deepEqual(await ids(database), [1, 2]);
  } finally {
    await database.close();
  }
});

test('a connection cut inside a transaction keeps nothing, and the next one works', { skip }, async () => {
  const address = await cluster.database();
  const database = await withItems(address);
  try {
    const cut = database.transaction(async (tx) => {
      await tx.run('INSERT INTO item (id) VALUES (?)', [1]);
      await superuser(
        address,
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${address.database}' AND state = 'idle in transaction'`,
      );
      await tx.run('INSERT INTO item (id) VALUES (?)', [2]);
    });
    await assert.rejects(cut, (error) => isWritError(error, 'storage_failed') && error.field === undefined);
    await put(database, 3);
    assert.deepEqual(await ids(database), [3]);
  } finally {
    await database.close();
  }
});

test('a transaction aside keeps nobody waiting', { skip }, async () => {
  const database = await withItems(await cluster.database());
  try {
    let done = false;
    const slow = database
      .transaction((tx) => tx.get('SELECT pg_sleep(0.5)'), { aside: true })
      .then(() => {
        done = true;
      });
    await new Promise((resolve) => setTimeout(resolve, 50));
    await put(database, 1);
    assert.equal(done, false);
    await slow;
  } finally {
    await database.close();
  }
});

test('a statement that takes too long is given up', { skip }, async () => {
  const database = await openPostgres({ ...(await cluster.database()), statementTimeout: 100 });
  try {
    await assert.rejects(
      database.get('SELECT pg_sleep(5)'),
      (error) => isWritError(error, 'storage_failed') && error.message.includes('too long'),
    );
    await assert.rejects(
      database.transaction((tx) => tx.get('SELECT pg_sleep(5)')),
      (error) => isWritError(error, 'storage_failed'),
    );
    assert.equal((await database.get('SELECT 1 AS one'))?.['one'], 1);
  } finally {
    await database.close();
  }
});

test('numbers beyond 2^53 are refused, not rounded', { skip }, async () => {
  const database = await openPostgres(await cluster.database());
  try {
    await assert.rejects(database.get('SELECT CAST(9007199254740993 AS BIGINT) AS n'), (error) =>
      isWritError(error, 'internal'),
    );
    assert.equal((await database.get('SELECT -9007199254740991 AS n'))?.['n'], Number.MIN_SAFE_INTEGER);
  } finally {
    await database.close();
  }
});

test('a password from a file, over TLS that is verified', { skip }, async () => {
  const { database } = await cluster.database();
  const passwordFile = join(folder, 'password');
  writeFileSync(passwordFile, `${PASSWORD}\n`, { mode: 0o600 });
  await superuser(
    { ...(await cluster.database()), database },
    `ALTER ROLE writ PASSWORD '${PASSWORD.replaceAll("'", "''")}'`,
  );
  const rootFile = join(folder, 'server.crt');
  const options = { host: 'localhost', port: cluster.port, user: 'writ', database, passwordFile, tls: { rootFile } };
  const good = await openPostgres(options);
  assert.equal((await good.get('SELECT 1 AS one'))?.['one'], 1);
  await good.close();

  const wrongFile = join(folder, 'wrong');
  writeFileSync(wrongFile, 'wrong-canary', { mode: 0o600 });
  const { passwordFile: _, ...noPassword } = options;
  // What `psql` would take from the environment must not find its way in.
  process.env['PGPASSWORD'] = PASSWORD;
  process.env['PGHOST'] = '127.0.0.2';
  const cases: [string, Parameters<typeof openPostgres>[0], Parameters<typeof isWritError>[1]][] = [
    ['wrong password', { ...options, passwordFile: wrongFile }, 'bad_config'],
    ['no password', noPassword, 'bad_config'],
    ['unknown root', { ...options, tls: {} }, 'bad_config'],
    ['another name', { ...options, host: '127.0.0.1' }, 'bad_config'],
    ['no TLS where the server wants it', { ...options, tls: false }, 'bad_config'],
    ['unknown database', { ...options, database: 'nowhere' }, 'bad_config'],
    ['nobody listens', { ...options, port: 1 }, 'storage_failed'],
  ];
  for (const [name, wrong, code] of cases) {
    await assert.rejects(
      openPostgres(wrong),
      (error) => isWritError(error, code) && !/canary/.test(error.message + error.remedy),
      name,
    );
  }
  chmodSync(passwordFile, 0o644);
  await assert.rejects(openPostgres(options), (error) => isWritError(error, 'unsafe_permissions'));
  delete process.env['PGPASSWORD'];
  delete process.env['PGHOST'];
});
