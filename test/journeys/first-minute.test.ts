import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Readable } from 'node:stream';
import { after, test } from 'node:test';

const ROOT = resolve(import.meta.dirname, '../..');
const scratch = mkdtempSync(join(tmpdir(), 'writ-first-minute-'));
const environment = { ...process.env, npm_config_cache: join(scratch, 'npm'), npm_config_offline: 'true' };
delete (environment as NodeJS.ProcessEnv)['NODE_TEST_CONTEXT'];
let server: ChildProcess | undefined;
after(async () => {
  if (server?.exitCode === null) {
    // The launcher passes this on, and ends with the server; a kill would leave the server behind.
    server.kill('SIGTERM');
    await once(server, 'exit');
  }
  rmSync(scratch, { recursive: true, force: true });
});

test('the commands that the start prints work as printed', { timeout: 60_000 }, async () => {
  // A place where nothing lies yet but the program, as after a clone and `npm ci`.
  const checkout = join(scratch, 'checkout');
  for (const path of ['bin', 'src', 'package.json'])
    cpSync(join(ROOT, path), join(checkout, path), { recursive: true });
  symlinkSync(join(ROOT, 'node_modules'), join(checkout, 'node_modules'));
  const ports = ['--listen', '127.0.0.1:0', '--listen-public', '127.0.0.1:0', '--listen-plain', '127.0.0.1:0'];
  const start = (): ChildProcess & { readonly stdout: Readable } =>
    spawn(process.execPath, ['bin/writ.js', 'start', ...ports], {
      cwd: checkout,
      env: environment,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
  server = start();
  const printed = await outputUntil(server, '-- env\n');
  for (const fact of ['Trust domain', 'sha256:', 'https://127.0.0.1:', 'writ-data-passphrase', 'opens the authority']) {
    assert.ok(printed.includes(fact), `the start says ${fact}`);
  }
  const commands = printed.split('\n').filter((line) => line.startsWith('  npx writ'));
  assert.equal(commands.length, 3);
  const outputs = commands.map((command) => {
    const ran = spawnSync('sh', ['-c', command], { cwd: checkout, env: environment, encoding: 'utf8' });
    assert.equal(ran.status, 0, `${command}: ${ran.stderr}`);
    return ran.stdout;
  });
  assert.match(outputs[1]!, /^writ-join-1-/m);
  assert.match(outputs[2]!, /^WRIT_SPIFFE_ID=spiffe:\/\/writ\.internal\/agent\/planner\//m);

  // Who has come that far is not told again: the names are taken.
  server.kill('SIGTERM');
  await once(server, 'exit');
  const again = start();
  server = again;
  let second = '';
  again.stdout.on('data', (chunk: Buffer) => {
    second += chunk.toString();
    if (second.includes('Passphrase')) again.kill('SIGTERM');
  });
  await once(again, 'exit');
  assert.match(second, /Writ is running/);
  assert.doesNotMatch(second, /npx writ/);
});

test('the launcher runs on the Node of the machine and says what the bundled one lacks', () => {
  const broken = join(scratch, 'broken');
  cpSync(join(ROOT, 'bin'), join(broken, 'bin'), { recursive: true });
  copyFileSync(join(ROOT, 'package.json'), join(broken, 'package.json'));
  const scripts = Object.values(JSON.parse(readFileSync(join(broken, 'package.json'), 'utf8')).scripts as object);
  // npm puts node_modules/.bin, where the bundled node is linked, before the path: plain `node` would be that one.
  for (const script of scripts) assert.match(script as string, /^\$\{npm_node_execpath:-node\} /);
  writeFileSync(join(broken, 'old.mjs'), 'Object.defineProperty(process, "versions", { value: { node: "20.0.0" } });');
  const ran = spawnSync(process.execPath, ['--import', './old.mjs', 'bin/writ.js', 'start'], {
    cwd: broken,
    encoding: 'utf8',
  });
  assert.equal(ran.status, 1);
  assert.match(
    ran.stderr,
    /^writ needs Node 26, and this is Node 20\.0\.0 without the bundled one: run "npm ci"[^\n]*\n$/,
  );
});

function outputUntil(child: ChildProcess, end: string): Promise<string> {
  return new Promise((found, fail) => {
    let text = '';
    child.stdout!.on('data', (chunk: Buffer) => {
      text += chunk.toString();
      if (text.includes(end)) found(text);
    });
    child.once('exit', (code) => fail(new Error(`the server ended with ${code}`)));
  });
}
