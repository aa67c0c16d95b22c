/** What is sent to whoever started `writ run` reaches the program at once, and its instance is stopped. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { type TestServer, testServer } from '../server.ts';

const LAUNCHER = resolve(import.meta.dirname, '../../bin/writ.js');
const AT_ONCE_MS = 3000;

test('a signal to the launcher, or to npm in front of it, ends the program', async () => {
  const server = await testServer();
  await server.token('runner');
  // npm runs the launcher in a shell, passes signals on to that, and the shell passes them on to nobody.
  const shell = ['sh', '-c', '"$@"; exit', 'sh'];
  for (const [how, words, environment] of [
    ['launcher', [], {}],
    ['npx', shell, { npm_execpath: '/usr/bin/npm', npm_lifecycle_event: 'npx' }],
    ['npm', shell, { npm_execpath: '/usr/bin/npm', npm_lifecycle_event: 'start', npm_package_name: 'writ' }],
  ] as const) {
    const { started, program, instance } = await begin(server, how, words, environment);
    const asked = performance.now();
    started.kill('SIGTERM');
    while (isRunning(program) && performance.now() - asked < AT_ONCE_MS) await pause(20);
    assert.ok(!isRunning(program), `${how}: the program runs on`);
    const status = async (): Promise<string> =>
      (await server.json<{ status: string }>('instance', 'show', instance)).status;
    while ((await status()) !== 'stopped' && performance.now() - asked < 2 * AT_ONCE_MS) await pause(50);
    assert.equal(await status(), 'stopped', how);
  }
});

interface Begun {
  readonly started: ChildProcess;
  /** Process id of what `writ run` runs. */
  readonly program: number;
  readonly instance: string;
}

async function begin(
  { scratch, api, operator }: TestServer,
  how: string,
  words: readonly string[],
  environment: Readonly<Record<string, string>>,
): Promise<Begun> {
  const told = join(scratch, how);
  const script = `echo $$ "$WRIT_SPIFFE_ID" > '${told}.new' && mv '${told}.new' '${told}' && exec sleep 60`;
  const run = ['run', '--server', api, '--operator', operator, '--agent', 'runner', '--', 'sh', '-c', script];
  const [command, ...args] = [...words, process.execPath, LAUNCHER, ...run];
  const own = Object.entries(process.env).filter(([name]) => !/^(npm_|NODE_TEST_CONTEXT$)/.test(name));
  const env = { ...Object.fromEntries(own), ...environment };
  const started = spawn(command!, args, { env, stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  started.stderr!.on('data', (chunk: Buffer) => {
    said += String(chunk);
  });
  await once(started, 'spawn');
  for (let waited = 0; !existsSync(told); waited++) {
    assert.ok(waited < 600 && started.exitCode === null, `${how} did not begin: ${said}`);
    await pause(50);
  }
  const [pid, spiffeId] = readFileSync(told, 'utf8').trim().split(' ') as [string, string];
  return { started, program: Number(pid), instance: spiffeId.split('/').at(-1)! };
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
