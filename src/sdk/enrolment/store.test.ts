import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { isWritError } from '../../base/error.ts';
import { issuer } from '../identity/testdata/identities.ts';
import { loadIdentity, saveIdentity } from './store.ts';

const folder = mkdtempSync(join(tmpdir(), 'writ-sdk-store-'));
after(() => rmSync(folder, { recursive: true }));

const credential = issuer().credential('agent/planner/1');
const kept = { credential, home: { server: 'https://localhost:1', roots: credential.roots } };
let count = 0;
const fresh = (): string => join(folder, String(count++));

test('what was saved comes back, key included', async () => {
  const directory = join(fresh(), 'deep');
  assert.equal(await loadIdentity(directory), undefined);
  await saveIdentity(directory, kept);
  const { credential: back, home } = (await loadIdentity(directory))!;
  assert.ok(back.key.equals(credential.key));
  assert.deepEqual({ ...back, key: undefined }, { ...credential, key: undefined });
  assert.deepEqual(home, kept.home);
});

test('files and directories that are made are for their owner alone', async () => {
  const directory = fresh();
  await saveIdentity(directory, kept);
  assert.equal(statSync(directory).mode & 0o777, 0o700);
  assert.equal(statSync(join(directory, 'identity.json')).mode & 0o777, 0o600);
});

test('a directory that is somebody’s keeps its mode, unless others can write to it', async () => {
  const directory = fresh();
  mkdirSync(directory);
  chmodSync(directory, 0o755);
  await saveIdentity(directory, kept);
  assert.equal(statSync(directory).mode & 0o777, 0o755);
  chmodSync(directory, 0o777);
  const unsafe = (error: unknown): boolean =>
    isWritError(error, 'unsafe_permissions') && error.remedy!.includes(`chmod go-w '${directory}'`);
  await assert.rejects(saveIdentity(directory, kept), unsafe);
  await assert.rejects(loadIdentity(directory), unsafe);
});

test('a key that others can read is refused', async () => {
  const directory = fresh();
  await saveIdentity(directory, kept);
  chmodSync(join(directory, 'identity.json'), 0o640);
  await assert.rejects(loadIdentity(directory), (error) => isWritError(error, 'unsafe_permissions'));
});

test('a crash while writing leaves the old identity; what it left is written over', async () => {
  const directory = fresh();
  await saveIdentity(directory, kept);
  writeFileSync(join(directory, 'identity.json.new'), '{"version":1,"ho', { mode: 0o600 });
  assert.ok((await loadIdentity(directory)) !== undefined);
  await saveIdentity(directory, { ...kept, home: { ...kept.home, server: 'https://localhost:2' } });
  assert.equal((await loadIdentity(directory))!.home.server, 'https://localhost:2');
});

test('what cannot be understood is named, and its content is not repeated', async () => {
  const directory = fresh();
  await saveIdentity(directory, kept);
  const file = join(directory, 'identity.json');
  const whole = readFileSync(file, 'utf8');
  for (const text of ['', 'hunter2', '{}', '{"version":2}', whole.slice(0, -40), whole.replace('PRIVATE', 'PUBLIC')]) {
    writeFileSync(file, text);
    await assert.rejects(loadIdentity(directory), (error) => {
      assert.ok(isWritError(error, 'bad_config'));
      assert.ok(error.remedy!.includes(file) && !`${error.message}${error.remedy}`.includes('hunter2'));
      return true;
    });
  }
});
