/** A server whose output nobody reads any more goes on, and ends in order when it is asked to. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { get } from 'node:http';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';

const MAIN = resolve(import.meta.dirname, '../../src/cmd/main.ts');
const ROOT = resolve(import.meta.dirname, '../..');
const LATE_MS = 60_000;
const scratch = mkdtempSync(join(tmpdir(), 'writ-reader-'));
const children: ChildProcess[] = [];
after(() => {
  for (const child of children) child.kill('SIGKILL');
  rmSync(scratch, { recursive: true, force: true, maxRetries: 5 });
});

const environment = { ...process.env, NODE_COMPILE_CACHE: join(ROOT, 'node_modules/.cache/writ') };
delete (environment as NodeJS.ProcessEnv)['NODE_TEST_CONTEXT'];
const flags = (data: string): string[] => [
  ...['start', '--json', '--data', data, '--listen', '127.0.0.1:0'],
  ...['--listen-public', '127.0.0.1:0', '--listen-plain', '127.0.0.1:0'],
];

async function until<T>(what: () => T | undefined | false): Promise<T> {
  for (const late = performance.now() + LATE_MS; performance.now() < late; await pause(50)) {
    const found = what();
    if (found !== undefined && found !== false) return found;
  }
  throw new Error(`not within ${LATE_MS} ms: ${what}`);
}

test('a server whose reader is gone answers, and ends with 0', async () => {
  const args = ['--disable-warning=ExperimentalWarning', MAIN, ...flags(join(scratch, 'gone', 'writ-data'))];
  const child = spawn(process.execPath, args, { env: environment, stdio: ['ignore', 'pipe', 'pipe'] });
  children.push(child);
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  const { plain } = JSON.parse(String(line)) as { readonly plain: string };
  child.stdout.destroy();
  child.stderr.destroy();
  const ended = once(child, 'exit');
  const [answer] = await once(get(`${plain}/nothing`), 'response');
  assert.equal(answer.resume().statusCode, 404);
  child.kill('SIGTERM');
  assert.deepEqual(await ended, [0, null]);
});

test('a server whose reader has fallen asleep starts, and does not wait for it when it is to stop', async () => {
  const data = join(scratch, 'asleep', 'writ-data');
  const file = join(scratch, 'pid');
  // A pipe that is full before anything is said.
  const line = `( head -c 65536 /dev/zero; sh -c 'echo $PPID' > ${file}; exec "$@" 2>&1 ) | sleep 3600`;
  const program = [process.execPath, '--disable-warning=ExperimentalWarning', MAIN, ...flags(data)];
  const shell = spawn('sh', ['-c', line, 'sh', ...program], {
    env: environment,
    stdio: 'ignore',
    detached: true,
  });
  children.push(shell);
  const pid = await until(
    () => existsSync(file) && readFileSync(file, 'utf8').endsWith('\n') && Number(readFileSync(file, 'utf8')),
  );
  try {
    await until(() => existsSync(join(data, 'running.json')));
    process.kill(pid, 'SIGTERM');
    await until(() => !existsSync(`/proc/${pid}`));
  } finally {
    process.kill(-shell.pid!, 'SIGKILL');
  }
});

test('a command whose reader is gone comes to its end', async () => {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', MAIN, 'completion', 'bash'], {
    env: environment,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.push(child);
  child.stdout.destroy();
  let said = '';
  child.stderr.on('data', (piece: Buffer) => {
    said += piece.toString();
  });
  assert.deepEqual([...(await once(child, 'close')), said], [0, null, '']);
});
