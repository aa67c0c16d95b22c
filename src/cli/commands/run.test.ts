/** Identities for programs that know nothing of Writ. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { cells, cli, testServer } from '../../../test/server.ts';

const server = await testServer();

interface List<T> {
  readonly items: readonly T[];
  readonly next_cursor?: string;
}

test('run: a program has files and variables, its instance ends with it', async () => {
  await server.token('runner');
  const out = join(server.scratch, 'ran');
  const script = `test "$(stat -c %a "$WRIT_KEY_FILE")" = 600 && cp "$WRIT_CERT_FILE" "$WRIT_KEY_FILE" "$WRIT_BUNDLE_FILE" '${out}' && echo "$WRIT_SPIFFE_ID $WRIT_KEY_FILE" > '${out}/told'; exit 42`;
  mkdirSync(out);
  const ran = await server.cli('run', '--agent', 'runner', '--', 'sh', '-c', script);
  assert.equal(ran.code, 42);
  const [spiffeId, keyFile] = readFileSync(join(out, 'told'), 'utf8').trim().split(' ') as [string, string];
  assert.equal(ran.stderr, `Running as ${spiffeId}\n`);
  assert.equal(existsSync(keyFile), false);
  assert.match(
    readFileSync(join(out, 'certificate.pem'), 'utf8'),
    /^(-----BEGIN CERTIFICATE-----(?:.|\n)*?-----END CERTIFICATE-----\n){3}$/,
  );
  const instance = await server.json<{ status: string }>('instance', 'show', spiffeId.split('/').at(-1)!);
  assert.equal(instance.status, 'stopped');
});

test('run: kept on demand, with a token alone, without --, with a program that is not there', async () => {
  const token = join(server.scratch, 'run-token');
  writeFileSync(token, await server.token('runner'));
  const out = join(server.scratch, 'kept');
  const line = ['sh', '-c', `echo $WRIT_SPIFFE_ID > '${out}'`];
  assert.equal((await cli(['run', '--token-file', token, '--keep', ...line])).code, 0);
  const id = readFileSync(out, 'utf8').trim().split('/').at(-1)!;
  assert.equal((await server.json<{ status: string }>('instance', 'show', id)).status, 'active');
  const absent = await server.cli('run', '--agent', 'runner', '--', '/no/such/program');
  assert.equal(absent.code, 3);
  assert.match(
    absent.stderr,
    /error: The program cannot be run: ENOENT \(program\)\nnext: Check that \/no\/such\/program exists/,
  );
  assert.deepEqual(cells(await server.cli('instance', 'list', 'runner', '--status', 'active')).length, 2);
  for (const wrong of [[], ['--agent', 'a', '--service', 'b'], ['--agent', 'runner', '--signal', 'SIGNOT']]) {
    assert.equal((await server.cli('run', ...wrong, '--', 'true')).code, 2);
  }
  assert.equal((await server.cli('run', '--agent', 'runner')).code, 2);
});

test('run: says of an instance that somebody stopped that it was stopped, not that it goes on', async () => {
  const told = join(server.scratch, 'stopped-meanwhile');
  const script = `echo "$WRIT_SPIFFE_ID" > '${told}'; while test -e '${told}'; do sleep 0.05; done`;
  const running = server.cli('run', '--agent', 'runner', '--', 'sh', '-c', script);
  while (!existsSync(told) || readFileSync(told, 'utf8') === '') await pause(20);
  const id = readFileSync(told, 'utf8').trim().split('/').at(-1)!;
  assert.equal((await server.cli('instance', 'stop', id, '--cause', 'clone_detected')).code, 0);
  rmSync(told);
  const { code, stderr } = await running;
  assert.equal(code, 0);
  assert.match(stderr, /^Running as .*\nthe instance had been stopped while the program ran\n$/);
});

test('enrol: says what it would do, uses no token up and writes nothing', async () => {
  const token = join(server.scratch, 'enrol-token');
  writeFileSync(token, await server.token('runner'));
  const out = join(server.scratch, 'not-enrolled');
  const before = cells(await server.cli('instance', 'list', 'runner')).length;
  const told = await server.cli('enrol', '--agent', 'runner', '--out', out, '--dry-run');
  assert.deepEqual(
    [told.code, told.stdout],
    [0, `Would enrol an instance of the agent runner (active) and write its files to ${out}\n`],
  );
  const byToken = await cli(['enrol', '--token-file', token, '--out', out, '--dry-run', '--json']);
  assert.match((JSON.parse(byToken.stdout) as { server: string }).server, /^\S+:\d+$/);
  assert.equal((await server.cli('enrol', '--agent', 'nobody', '--out', out, '--dry-run')).code, 3);
  assert.equal((await cli(['enrol', '--token-file', '/dev/null', '--out', out, '--dry-run'])).code, 2);
  assert.deepEqual([existsSync(out), cells(await server.cli('instance', 'list', 'runner')).length], [false, before]);
  assert.equal((await cli(['enrol', '--token-file', token, '--out', out])).code, 0, 'the token is as good as new');
});

test('enrol: says by which attestor it would be let in, and asks for nothing yet', async () => {
  const out = join(server.scratch, 'attested');
  const flags = ['--attestor', 'factory', '--evidence', 'aws', '--evidence-metadata', 'http://127.0.0.1:1'];
  const line = ['enrol', ...flags, '--root', `sha256:${'0'.repeat(64)}`, '--out', out];
  const { code, stdout } = await server.cli(...line, '--dry-run');
  assert.deepEqual(
    [code, stdout],
    [
      0,
      `Would enrol an instance at ${server.api}, if the attestor factory vouches for it, and write its files to ${out}\n`,
    ],
  );
  for (const also of [
    ['--token-file', 'x'],
    ['--agent', 'a', '--service', 'b'],
  ]) {
    assert.equal((await server.cli(...line, ...also, '--dry-run')).code, 2);
  }
});

test('enrol: files for their owner alone, in a new directory', async () => {
  const out = join(server.scratch, 'enrolled');
  const answer = await server.json<{ spiffe_id: string; files: Record<string, string> }>(
    'enrol',
    '--agent',
    'runner',
    '--out',
    out,
  );
  assert.match(answer.spiffe_id, /\/agent\/runner\//);
  assert.equal(statSync(out).mode & 0o777, 0o700);
  for (const file of Object.values(answer.files)) assert.equal(statSync(file).mode & 0o777, 0o600);
  const before = (await server.json<List<unknown>>('instance', 'list', 'runner')).items.length;
  assert.equal((await server.cli('enrol', '--agent', 'runner', '--out', out)).code, 8);
  assert.equal((await server.json<List<unknown>>('instance', 'list', 'runner')).items.length, before);
});
