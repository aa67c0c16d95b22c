import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, before, test } from 'node:test';
import { type Ended, type RunningServer, startServer, writ } from '../program.ts';

const MAIN = resolve(import.meta.dirname, '../../src/cmd/main.ts');
const scratch = mkdtempSync(join(tmpdir(), 'writ-operators-'));
const data = join(scratch, 'writ-data');
let server: RunningServer;
before(async () => {
  server = await startServer(data, { cwd: scratch });
});
after(async () => {
  await server.stop();
  rmSync(scratch, { recursive: true, force: true });
});

const administer = (...args: readonly string[]): Promise<Ended> =>
  writ(['operator', ...args, '--data', data, '--json'], { cwd: scratch });
const url = (): string => server.api.replace('127.0.0.1', 'localhost');
const add = (name: string, file: string, ...more: readonly string[]): Promise<Ended> =>
  administer('add', name, '--person', 'admin', '--out', file, '--server', url(), ...more);
const whoami = (file: string): Promise<Ended> => writ(['whoami', '--operator', file, '--json'], { cwd: scratch });
const codeOf = (ended: Ended): unknown => JSON.parse(ended.stderr.trim().split('\n').at(-1)!).error.code;

test('a second operator, a lost credential and a removal, beside the running server', {
  timeout: 120_000,
}, async () => {
  assert.equal((await add('ada', 'ada.json')).code, 0);
  assert.equal(statSync(join(scratch, 'ada.json')).mode & 0o777, 0o600);
  assert.equal(JSON.parse((await whoami('ada.json')).stdout).name, 'ada');

  const again = await add('ada', 'again.json');
  assert.deepEqual([again.code, codeOf(again)], [8, 'conflict']);
  assert.match(again.stderr, /--replace/);

  assert.equal((await administer('add', 'ada', '--replace', '--out', 'ada-2.json', '--server', url())).code, 0);
  const lost = await whoami('ada.json');
  assert.deepEqual([lost.code, codeOf(lost)], [5, 'revoked'], 'what was lost is worthless');
  assert.equal(JSON.parse((await whoami('ada-2.json')).stdout).name, 'ada');

  assert.equal((await administer('remove', 'ada')).code, 0);
  assert.equal(codeOf(await whoami('ada-2.json')), 'revoked');
  const burnt = await add('ada', 'burnt.json');
  assert.deepEqual([burnt.code, codeOf(burnt)], [8, 'conflict']);
  assert.match(burnt.stderr, /never used twice/);
  assert.equal(codeOf(await administer('remove', 'admin')), 'conflict', 'the last one stays');
});

test('a profile is published as it is shown', async () => {
  const shown = await writ(
    ['profile', 'show', 'agent', '--json', '--operator', `${data}-operator`, '--server', url()],
    {
      cwd: scratch,
    },
  );
  const file = join(scratch, 'agent.json');
  writeFileSync(file, shown.stdout);
  const published = await writ(['profile', 'publish', file, '--data', data, '--json'], { cwd: scratch });
  assert.deepEqual([published.code, published.stderr], [0, '']);
  assert.equal(JSON.parse(published.stdout).version, JSON.parse(shown.stdout).version + 1);
});

test('a start names the file of the passphrase only where there is one', async () => {
  const other = join(scratch, 'other');
  const secret = join(scratch, 'secret');
  writeFileSync(secret, 'correct horse battery staple', { mode: 0o600 });
  const ports = ['--listen', '127.0.0.1:0', '--listen-public', '127.0.0.1:0', '--listen-plain', '127.0.0.1:0'];
  const child = spawn(process.execPath, [MAIN, 'start', '--data', other, '--passphrase-file', secret, ...ports]);
  let printed = '';
  child.stdout.on('data', (chunk: Buffer) => {
    printed += chunk.toString();
    if (printed.includes('-- env')) child.kill();
  });
  await once(child, 'close');
  assert.match(printed, /^Passphrase {4}as given; it is kept nowhere here$/m);
});
