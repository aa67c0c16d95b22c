/**
 * Data that an older version made, before there were lists, quarantines and approvals (June 2025 by its clock): verified
 * where it lies, brought up by a start, and as true as before.
 */
import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { startServer, writ } from '../program.ts';
import { run, scratchDirectory } from './authority.ts';

const FIXTURE = join(import.meta.dirname, 'testdata/older');
const STOPPED = { instance: '01jwnbghbrvtk6965x8sgr7eqd', serial: '01972aef33fa00000e10215889bf419214785896' };
const GOOD = { instance: '01jwnbgj2m38eh6epehwdajbp4', serial: '01972aef36d400000e100490b369aa140c919b71' };
/** After the stop, while the other certificate lived. */
const THEN = '2025-06-01T09:30:00Z';

const scratch = scratchDirectory();
const data = join(scratch, 'data');
const database = join(data, 'writ.db');

before(() => {
  for (const directory of [data, `${data}-anchor`]) mkdirSync(directory, { mode: 0o700 });
  writeFileSync(database, gunzipSync(readFileSync(join(FIXTURE, 'writ.db.gz'))), { mode: 0o600 });
  for (const name of ['checkpoint', 'revocations']) copyFileSync(join(FIXTURE, name), join(`${data}-anchor`, name));
  // Kept longer than any clock that this may run under makes of a year ago.
  const config = {
    trustDomain: 'agents.example.com',
    anchor: `${data}-anchor`,
    retentionDays: 36_500,
    logLevel: 'warn',
  };
  writeFileSync(join(data, 'config.json'), JSON.stringify(config), { mode: 0o600 });
  writeFileSync(`${data}-passphrase`, 'a passphrase of an older version\n', { mode: 0o600 });
});

async function verify(): Promise<string> {
  const { code, stdout, stderr } = await writ(['ledger', 'verify', '--data', data]);
  assert.equal(code, 0, stdout + stderr);
  return stdout + stderr;
}

test('verifies where it lies, and is left as it is', async () => {
  const was = readFileSync(database);
  const said = await verify();
  assert.match(said, /^Verified: agents\.example\.com\/ledger, 27 entries, 2 checkpoints, 0 findings$/m);
  assert.match(said, /^an older version wrote it: copying first$/m);
  const doctor = await writ(['doctor', '--data', data]);
  assert.match(doctor.stdout, /^WARN +database +sqlite, of an older version +→ "writ start" brings it up/m);
  assert.deepEqual(readFileSync(database), was);
});

test('is brought up by a start: what held holds, what was stopped is stopped', async () => {
  // Its authorities have ended and are made anew, and so is whom it knew as an operator.
  const first = await startServer(data);
  mkdirSync(`${data}-operator`, { mode: 0o700 });
  const credential = join(`${data}-operator`, 'operator.json');
  const added = await writ(['operator', 'add', 'eve', '--data', data, '--out', credential]);
  assert.equal(added.code, 0, added.stderr);
  assert.equal((await first.stop()).code, 0);
  const { server, get, letIn, revoke } = await run(data);
  const { items } = await get<{ items: { serial: string }[] }>(`/v1/certificates/at?time=${THEN}&agent=planner`);
  assert.deepEqual(
    items.map(({ serial }) => serial),
    [GOOD.serial],
  );
  assert.equal((await get(`/v1/certificates/${STOPPED.serial}`))['status'], 'revoked');
  assert.equal((await get(`/v1/instances/${STOPPED.instance}`))['status'], 'stopped');
  assert.equal((await get(`/v1/instances/${GOOD.instance}`))['status'], 'active');
  const { serial } = await letIn('courier');
  assert.equal((await revoke(serial)).status, 'revoked');
  assert.match(await verify(), /^a server runs on it: copying first$/m);
  assert.equal((await server.stop()).code, 0);
  await verify();
  assert.match((await writ(['doctor', '--data', data])).stdout, /^ok +database +sqlite *$/m);
});
