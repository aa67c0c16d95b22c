/** What is done on the server's machine, beside a running server and without one. */
import assert from 'node:assert/strict';
import {
  appendFileSync,
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { cells, cli, type TestServer, testServer } from '../../../test/server.ts';
import { isWritError } from '../../base/error.ts';
import { connect } from '../../sdk/enrolment/connect.ts';

const server: TestServer = await testServer();
const { data, scratch } = server;

interface Finding {
  readonly check: string;
  readonly state: string;
  readonly found: string;
  readonly fix?: string;
}

const doctor = async (): Promise<Record<string, Finding>> => {
  const { stdout } = await server.cli('doctor', '--json');
  const { findings } = JSON.parse(stdout) as { findings: Finding[] };
  return Object.fromEntries(findings.map((finding) => [finding.check, finding]));
};

test('status says what the start said, with the ports that were taken', async () => {
  const status = await server.json<Record<string, string>>('status');
  assert.equal(status['state'], 'ready');
  assert.deepEqual([status['api'], status['public'], status['plain']], [server.api, server.open, server.plain]);
  assert.match(status['root_fingerprint']!, /^sha256:[0-9a-f]{64}$/);
  const { stdout } = await server.cli('status');
  assert.match(stdout, /^Writ is running\.\n\nTrust domain +writ\.internal\n/);
  assert.ok(stdout.includes(`npx writ token create planner --operator '${data}-operator'`));
});

test('doctor finds a sound installation, and says what is not', async () => {
  const sound = await server.cli('doctor');
  assert.equal(sound.code, 0);
  assert.match(sound.stderr, /^14 checks, 0 failed, 1 warning\.\n$/);
  const findings = await doctor();
  assert.deepEqual(findings['server'], { check: 'server', state: 'pass', found: `ready at ${server.api}` });
  assert.equal(findings['passphrase apart']!.state, 'warn');
  chmodSync(`${data}-passphrase`, 0o644);
  const open = await server.cli('doctor');
  assert.equal(open.code, 7);
  assert.ok(cells(open).some((row) => row[0] === 'FAIL' && row.at(-1)!.includes(`chmod go= ${data}-passphrase`)));
  chmodSync(`${data}-passphrase`, 0o600);
  const absent = await cli(['doctor', '--data', join(scratch, 'none')]);
  assert.equal(absent.code, 7);
  assert.match(absent.stdout, /FAIL +configuration +There is no configuration file/);
});

test('a second operator comes, is told apart, loses the credential, goes', async () => {
  const out = join(scratch, 'ada.json');
  assert.match(
    (await server.cli('operator', 'add', 'ada', '--out', out, '--dry-run')).stdout,
    /^Would add operator ada/,
  );
  assert.equal(existsSync(out), false);
  assert.equal((await server.cli('operator', 'add', 'ada', '--person', 'admin', '--out', out)).code, 0);
  assert.equal(statSync(out).mode & 0o777, 0o600);
  // The server runs elsewhere than its configuration says.
  assert.equal(
    (JSON.parse(readFileSync(out, 'utf8')) as { server: string }).server.replace('localhost', '127.0.0.1'),
    server.api,
  );
  const who = async (operator: string) => server.cli('whoami', '--operator', operator);
  assert.match((await who(out)).stdout, /^name +ada$/m);
  assert.equal((await server.cli('operator', 'add', 'ada', '--out', join(scratch, 'again.json'))).code, 8);
  assert.equal((await server.cli('operator', 'add', 'Ada!', '--out', join(scratch, 'again.json'))).code, 2);
  const anew = join(scratch, 'ada-2.json');
  await server.token('planner');
  const his = await server.json<{ token: string }>('token', 'create', 'planner', '--operator', out, '--uses', '2');
  (await connect({ token: his.token })).close();
  await server.json(
    'service',
    'register',
    'host',
    '--team',
    'tests',
    '--sponsor',
    'ada@example.com',
    '--purpose',
    'tests',
  );
  const entry = ['planner', '--node', 'host', '--match', 'unix:uid=0', '--operator', out];
  await server.json('entry', 'create', ...entry);
  const replaced = await server.cli('operator', 'add', 'ada', '--replace', '--out', anew);
  assert.equal(replaced.code, 0, replaced.stderr);
  assert.match(replaced.stderr, /^1 join tokens of ada have let instances in, which go on\./m);
  assert.match(replaced.stderr, /^1 registration entries of ada stand and let instances in\./m);
  await assert.rejects(connect({ token: his.token }), (error) => isWritError(error, 'token_refused'));
  assert.match((await who(anew)).stdout, /^name +ada$/m);
  // A server learns from another process what that revoked within its poll.
  for (let i = 0; (await who(out)).code === 0 && i < 50; i++) await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal((await who(out)).code, 5);
  assert.equal((await server.cli('operator', 'remove', 'ada')).code, 0);
  for (let i = 0; (await who(anew)).code === 0 && i < 50; i++) await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal((await who(anew)).code, 5);
  const last = await server.cli('operator', 'remove', 'admin');
  assert.equal(last.code, 8);
  assert.match(last.stderr, /next: Add another operator first/);
});

test('policy sets and profiles are published with the passphrase, or not at all', async () => {
  const rules = join(scratch, 'rules.cedar');
  const before = await server.json<{ version: number; text: string }>('policy', 'show');
  writeFileSync(
    rules,
    `${before.text}\n@id("none") @description("No.")\nforbid (principal, action, resource) when { principal.x };\n`,
  );
  const bad = await server.cli('policy', 'publish', rules);
  assert.equal(bad.code, 7);
  assert.match(bad.stderr, /^error: /);
  const rule =
    '@id("no-nobody") @description("Nobody is called nobody.")\nforbid (principal, action == Action::"agent.register", resource == Agent::"nobody");\n';
  writeFileSync(rules, `${before.text}\n${rule}`);
  assert.equal((await server.json<{ published: boolean }>('policy', 'publish', rules, '--dry-run')).published, false);
  assert.equal((await server.json<{ version: number }>('policy', 'show')).version, before.version);
  assert.equal((await server.json<{ version: number }>('policy', 'publish', rules)).version, before.version + 1);
  const register = ['agent', 'register', 'nobody', '--team', 't', '--sponsor', 's', '--purpose', 'p'];
  let refused = await server.cli(...register, '--dry-run');
  for (let i = 0; i < 50; i++) {
    if ((await server.json<{ version: number }>('policy', 'show')).version > before.version) break;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  refused = await server.cli(...register);
  assert.equal(refused.code, 5);
  assert.match(refused.stderr, /Nobody is called nobody\./);

  const profile = join(scratch, 'profile.json');
  const { version, updated_at, ...shown } = await server.json<Record<string, unknown>>('profile', 'show', 'agent');
  assert.equal(typeof updated_at, 'string');
  writeFileSync(profile, JSON.stringify({ ...shown, lifetime: { default: 1800, least: 300, most: 3600 } }));
  const published = await server.cli('profile', 'publish', profile);
  assert.deepEqual([published.code, published.stderr], [0, '']);
  const now = await server.json<{ version: number; lifetime: object }>('profile', 'show', 'agent');
  assert.deepEqual([now.version, now.lifetime], [(version as number) + 1, { default: 1800, least: 300, most: 3600 }]);
  writeFileSync(profile, '{');
  assert.equal((await server.cli('profile', 'publish', profile)).code, 2);
});

test('the issuing authority is changed beside the server; what is due is said', async () => {
  assert.match((await server.cli('ca', 'due')).stdout, /^Nothing is due within 60 days\.$/m);
  const before = await server.json<{ items: { id: string; kind: string; state: string }[] }>('ca', 'list');
  assert.equal((await server.json<{ would: string }>('ca', 'rotate', '--dry-run')).would, 'rotate');
  const { id } = await server.json<{ id: string }>('ca', 'rotate');
  const after = await server.json<typeof before>('ca', 'list');
  assert.equal(after.items.length, before.items.length + 1);
  assert.equal(after.items.find((one) => one.id === id)?.state, 'active');
  using identity = await connect({ token: await server.token('rotated') });
  assert.equal(identity.credential.chain.length, 2);
});

test('a backup is made while the server runs, verified alone, restored in place of what was lost', async () => {
  const [backup, keys] = [join(scratch, 'backup'), join(scratch, 'keys')];
  writeFileSync(keys, (await server.cli('ledger', 'key')).stdout);
  assert.match((await server.cli('backup', backup, '--dry-run')).stdout, /^Would copy /);
  assert.equal(existsSync(backup), false);
  assert.equal((await server.cli('backup', backup)).code, 0);
  assert.equal(statSync(backup).mode & 0o777, 0o700);
  assert.equal((await server.cli('backup', backup)).code, 8);
  const verified = await cli(['ledger', 'verify', '--data', backup, '--keys', keys, '--json']);
  assert.equal(verified.code, 0, verified.stdout);
  const { verified: good, entries } = JSON.parse(verified.stdout) as { verified: boolean; entries: number };
  assert.deepEqual([good, entries > 10], [true, true]);
  assert.equal((await cli(['ledger', 'verify', '--data', backup, '--no-anchor'])).code, 0);
  // Also the live data, of which a copy is made first.
  assert.equal((await cli(['ledger', 'verify', '--data', data])).code, 0);
  assert.equal((await cli(['ledger', 'verify', '--data', join(scratch, 'none')])).code, 2);
  assert.equal((await cli(['restore', backup, '--data', data])).code, 8);
  assert.equal((await cli(['restore', scratch, '--data', join(scratch, 'fresh')])).code, 2);
  const restored = join(scratch, 'restored');
  assert.match((await cli(['restore', backup, '--data', restored, '--dry-run'])).stdout, /^Would restore/);
  assert.equal(existsSync(restored), false);
  assert.equal((await cli(['restore', backup, '--data', restored])).code, 0);
  assert.equal((await cli(['ledger', 'verify', '--data', restored, '--keys', keys, '--no-anchor'])).code, 0);
  rmSync(restored, { recursive: true });
});

test('the passphrase changes beside the server, which starts again with the new one alone', async () => {
  const file = `${data}-passphrase`;
  const old = readFileSync(file, 'utf8');
  assert.equal((await server.json<{ would: string }>('passphrase', 'change', '--dry-run')).would, 'change');
  assert.equal(readFileSync(file, 'utf8'), old);
  assert.equal((await server.cli('passphrase', 'change')).code, 0);
  const fresh = readFileSync(file, 'utf8');
  assert.notEqual(fresh, old);
  writeFileSync(file, old);
  const wrong = await server.cli('ca', 'due');
  assert.equal(wrong.code, 1);
  assert.ok(!wrong.stderr.includes(old.trim()));
  writeFileSync(file, fresh);
  assert.equal((await server.cli('ca', 'due')).code, 0);
  const both = await server.cli('ca', 'due', '--passphrase-file', file, '--passphrase-env', 'X');
  assert.equal(both.code, 2);
});

test('after a stop the same directory starts elsewhere, and its first operator finds it there', async () => {
  await server.stop();
  const stopped = await server.cli('status');
  assert.equal(stopped.code, 1);
  assert.match(stopped.stdout, /^Writ is not running\. Start it with "writ start"\.\n/);
  assert.equal((await doctor())['server']!.state, 'warn');
  assert.equal((await cli(['whoami', '--operator', server.operator])).code, 1);
  const again = await server.restart();
  const who = await cli(['whoami', '--operator', server.operator]);
  assert.deepEqual([who.code, who.stderr], [0, '']);
  assert.equal((await again.json<Record<string, string>>('status'))['api'], again.api);
  await again.stop();
});

test('a copy in which one octet was changed does not verify', async () => {
  const copy = join(scratch, 'changed');
  mkdirSync(copy, { mode: 0o700 });
  for (const name of ['writ.db', 'config.json']) cpSync(join(scratch, 'backup', name), join(copy, name));
  const bytes = readFileSync(join(copy, 'writ.db'));
  const at = bytes.indexOf('plans') > 0 ? bytes.indexOf('plans') : bytes.indexOf('"agent.registered"');
  bytes[at + 2]! ^= 1;
  writeFileSync(join(copy, 'writ.db'), bytes);
  const { code, stdout } = await cli(['ledger', 'verify', '--data', copy, '--no-anchor']);
  assert.equal(code, 7);
  assert.match(stdout, /^entry \d+: .*\n/m);
  assert.match(stdout, /^NOT verified: .* \d+ findings$/m);
  appendFileSync(join(copy, 'config.json'), 'x');
  assert.equal((await cli(['ledger', 'verify', '--data', copy])).code, 2);
  renameSync(copy, `${copy}-gone`);
});
