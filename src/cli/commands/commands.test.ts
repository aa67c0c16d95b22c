/** Every command that speaks to a server, against a server. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { chmodSync, copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { cells, testServer } from '../../../test/server.ts';
import { CAUSES as KNOWN } from '../../ca/revocation-cause.ts';
import { commandTable } from '../../cmd/commands.ts';
import { connect } from '../../sdk/enrolment/connect.ts';
import { csrFor } from '../../sdk/identity/credential.ts';
import { CAUSES } from './causes.ts';

const server = await testServer();

interface List<T> {
  readonly items: readonly T[];
  readonly next_cursor?: string;
}

const OWNER = ['--team', 'payments', '--sponsor', 'ada@example.com', '--purpose', 'plans payments'];

test('agents: register, list, show, update, retire', async () => {
  const { cli: writ } = server;
  const registered = await writ(
    'agent',
    'register',
    'planner',
    ...OWNER,
    '--label',
    'tier=gold',
    '--model',
    'm1',
    '--model-provider',
    'acme',
  );
  assert.equal(registered.code, 0);
  assert.match(registered.stdout, /^name +planner$/m);
  assert.match(registered.stdout, /^owner +payments, ada@example\.com$/m);
  assert.match(registered.stdout, /^model +acme m1$/m);
  assert.match(registered.stdout, /^labels +tier=gold$/m);
  assert.equal(registered.stderr, 'Next: writ token create planner\n');
  assert.equal((await writ('agent', 'register', 'planner', ...OWNER)).code, 8);
  const listed = cells(await writ('agent', 'list', '--team', 'payments'));
  assert.deepEqual(listed[0], ['NAME', 'TEAM', 'STATUS', 'ENVIRONMENT', 'PROFILE', 'PURPOSE']);
  assert.deepEqual(listed[1]!.slice(0, 3), ['planner', 'payments', 'active']);
  assert.match((await writ('agent', 'list', '--team', 'nobody')).stdout, /^No agents\./);
  assert.equal(cells(await writ('agent', 'list', '--label', 'tier=gold'))[1]![0], 'planner');
  assert.match((await writ('agent', 'list', '--label', 'tier=tin')).stdout, /^No agents\./);
  assert.equal((await writ('agent', 'list', '--label', 'tier')).code, 2);
  const changed = await server.json<{ purpose: string; owner: { team: string; sponsor: string } }>(
    ...['agent', 'update', 'planner', '--purpose', 'pays', '--sponsor', 'bob@example.com'],
  );
  assert.deepEqual([changed.purpose, changed.owner], ['pays', { team: 'payments', sponsor: 'bob@example.com' }]);
  assert.equal((await writ('agent', 'show', 'nobody')).code, 3);
  const dry = await writ('agent', 'retire', 'planner', '--dry-run');
  assert.match(dry.stdout, /^Would retire for good:\nname +planner[\s\S]*\nWould stop for ever agent planner:\n/);
  assert.match((await writ('agent', 'show', 'planner')).stdout, /^status +active$/m);
  assert.match((await writ('agent', 'retire', 'planner', '--cause', 'decommissioned')).stdout, /^planner is retired/);
  assert.match((await writ('agent', 'show', 'planner')).stdout, /^status +retired$/m);
});

test('services have the same words, and tokens find them by name', async () => {
  const { cli: writ } = server;
  assert.equal((await writ('service', 'register', 'ledger-db', ...OWNER)).code, 0);
  assert.equal(cells(await writ('service', 'list'))[1]![0], 'ledger-db');
  const token = await writ('token', 'create', 'ledger-db', '--uses', '3', '--lifetime', '10m');
  assert.match(token.stdout, /^writ-join-1-[A-Za-z0-9_-]+\n$/);
  assert.match(token.stderr, /^Lets 3 instances of ledger-db in, expires in 10 min\. Shown this once\.\n$/);
  const row = cells(await writ('token', 'list', '--service', 'ledger-db'))[1]!;
  assert.deepEqual(row.slice(1, 4), ['service/ledger-db', 'active', '3 of 3']);
  const identity = await connect({ token: token.stdout });
  identity.close();
  assert.equal(cells(await writ('instance', 'list', 'ledger-db'))[1]![1], 'active');
});

test('a service gets the DNS names that are registered for it', async () => {
  const { cli: writ } = server;
  const named = await writ('service', 'register', 'books', '--dns', 'accounts.writ.internal', ...OWNER);
  assert.match(named.stdout, /^DNS names +accounts\.writ\.internal$/m);
  const elsewhere = await writ('service', 'update', 'books', '--dns', 'books.example.com');
  assert.equal(elsewhere.code, 2);
  assert.match(elsewhere.stderr, /writ profile show service/);
  const out = join(server.scratch, 'books');
  const { files } = await server.json<{ files: { certificate: string } }>('enrol', '--service', 'books', '--out', out);
  const certificate = new X509Certificate(readFileSync(files.certificate));
  assert.equal(certificate.checkHost('accounts.writ.internal'), 'accounts.writ.internal');
  assert.doesNotMatch((await writ('service', 'update', 'books', '--no-dns')).stdout, /^DNS names/m);
});

test('a name that nobody has is told from one that is misspelt by exit code and advice', async () => {
  for (const line of [
    ['token', 'create', 'nobody'],
    ['instance', 'list', 'nobody'],
    ['run', '--agent', 'nobody', '--', 'true'],
  ]) {
    const { code, stderr } = await server.cli(...line);
    assert.equal(code, 3, line.join(' '));
    assert.match(stderr, /^error: There is no agent.*\nnext: /);
  }
});

test('tokens: made, shown without secret, revoked', async () => {
  await server.token('researcher');
  const made = await server.json<{ id: string; token: string }>(
    ...['token', 'create', 'researcher', '--workflow', 'w1', '--scope', 'read', '--scope', 'write', '--label', 'a=b'],
  );
  const shown = await server.cli('token', 'show', made.id);
  assert.match(shown.stdout, /^for +agent\/researcher$/m);
  assert.match(shown.stdout, /^workflow +w1$/m);
  assert.match(shown.stdout, /^scopes +read, write$/m);
  assert.ok(!shown.stdout.includes(made.token));
  assert.ok(!JSON.stringify(await server.json('token', 'list')).includes(made.token));
  assert.match((await server.cli('token', 'revoke', made.id, '--dry-run')).stdout, /^Would revoke:/);
  assert.equal((await server.json<{ status: string }>('token', 'show', made.id)).status, 'active');
  assert.equal((await server.cli('token', 'revoke', made.id)).code, 0);
  assert.equal((await server.json<{ status: string }>('token', 'show', made.id)).status, 'revoked');
  for (const uses of ['0', '-1', 'many', '10001']) {
    assert.equal((await server.cli('token', 'create', 'researcher', '--uses', uses)).code, 2);
  }
});

test('instances and certificates: who is who, now and then; stopped for good', async () => {
  using identity = await connect({ token: await server.token('researcher') });
  const id = identity.spiffeId.split('/').at(-1)!;
  const { serial } = identity.credential;
  const shown = await server.cli('instance', 'show', id);
  assert.match(shown.stdout, new RegExp(`^instance +${id}\\nof +researcher\\nstatus +active$`, 'm'));
  const [header, row] = cells(await server.cli('cert', 'list', '--instance', id));
  assert.deepEqual(header, ['SERIAL', 'WHOSE', 'INSTANCE', 'PROFILE', 'STATUS', 'EXPIRES']);
  assert.deepEqual(row!.slice(0, 5), [serial, 'agent/researcher', id, 'agent', 'active']);
  assert.match(row![5]!, /^in (60|59) min$/);
  const colons = serial.toUpperCase().replaceAll(/..(?=.)/g, '$&:');
  const certificate = await server.cli('cert', 'show', colons);
  assert.match(certificate.stdout, new RegExp(`^SPIFFE ID +${identity.spiffeId}$`, 'm'));
  assert.match(certificate.stdout, /^issued +2\d{3}-/m);
  const pem = (await server.cli('cert', 'show', serial, '--pem')).stdout;
  assert.equal(pem, identity.credential.certificate + identity.credential.chain.join(''));

  const before = new Date().toISOString();
  await new Promise((resolve) => setTimeout(resolve, 5));
  const dry = await server.cli('instance', 'stop', id, '--dry-run');
  assert.match(dry.stdout, new RegExp(`^Would stop for good:[\\s\\S]*\\n1 instance\\n  ${id}\\n`));
  const stopped = await server.cli('instance', 'stop', id, '--cause', 'key_theft');
  assert.equal(stopped.stdout, `${id} (researcher) is stopped for good.\n`);
  const at = async (time: string) => cells(await server.cli('cert', 'at', '--time', time, '--instance', id));
  assert.deepEqual(
    (await at(before)).map((found) => found.slice(4, 6)),
    [
      ['THEN', 'NOW'],
      ['active', 'revoked'],
    ],
  );
  assert.deepEqual(await at('now'), [['Nothing was valid at that instant.']]);
  assert.match((await server.cli('cert', 'show', serial)).stdout, /^cause +key_theft, keyCompromise$/m);
  assert.equal((await server.cli('cert', 'at', '--time', 'yesterday')).code, 2);
});

test('a certificate that is quarantined says so, and since when, until it is released', async () => {
  using identity = await connect({ token: await server.token('heldback') });
  const { serial } = identity.credential;
  const of = ['--agent', 'heldback'];
  const status = async (...argv: string[]) => cells(await server.cli('cert', ...argv, ...of))[1]?.slice(4, -1);
  assert.deepEqual(await status('list'), ['active']);
  const how = ['--cause', 'policy_change', '--quarantine'];
  const { id, stopped_at: at } = await server.json<{ id: string; stopped_at: string }>(
    'stop',
    'agent',
    'heldback',
    ...how,
  );
  assert.match(
    (await server.cli('cert', 'show', serial)).stdout,
    new RegExp(`^status +held$[^]*^held since +${at}$`, 'm'),
  );
  assert.deepEqual([await status('list'), await status('list', '--status', 'held')], [['held'], ['held']]);
  assert.deepEqual(await status('list', '--status', 'active'), undefined);
  const within = new Date().toISOString();
  assert.deepEqual(await status('at', '--time', within), ['held', 'held']);

  // The administrator on the server's machine needs nobody's consent; over the interface two officers would agree.
  const asked = await server.cli('release', id);
  assert.equal(asked.code, 6, asked.stderr);
  assert.deepEqual(await status('list'), ['held']);
});

test('certificates by hand: issued for a request, replaced, revoked', async () => {
  using identity = await connect({ token: await server.token('researcher') });
  const id = identity.spiffeId.split('/').at(-1)!;
  const csr = join(server.scratch, 'by-hand.csr');
  writeFileSync(csr, await csrFor(identity.credential.key));
  const dry = await server.json<{ would: string }>('cert', 'issue', id, '--csr', csr, '--dry-run');
  assert.equal(dry.would, 'issue');
  const issued = await server.cli('cert', 'issue', id, '--csr', csr, '--lifetime', '10m');
  assert.match(issued.stdout, /^-----BEGIN CERTIFICATE-----\n/);
  const [newest] = (await server.json<List<{ serial: string }>>('cert', 'list', '--instance', id)).items;
  const replaced = await server.json<{ serial: string }>('cert', 'replace', newest!.serial, '--csr', csr);
  assert.notEqual(replaced.serial, newest!.serial);
  assert.match(
    (await server.cli('cert', 'show', newest!.serial)).stdout,
    /^cause +superseded_by_renewal, superseded$/m,
  );
  assert.equal((await server.cli('cert', 'revoke', replaced.serial)).code, 2);
  const revoked = await server.cli('cert', 'revoke', replaced.serial, '--cause', 'policy_change');
  assert.match(revoked.stdout, new RegExp(`^${replaced.serial} is revoked for good\\.\\n(?:.|\n)*status +revoked`));
  writeFileSync(csr, 'not a request');
  assert.equal((await server.cli('cert', 'issue', id, '--csr', csr)).code, 2);
  assert.equal((await server.cli('cert', 'issue', id, '--csr', join(server.scratch, 'none'))).code, 2);
  assert.equal((await server.cli('cert', 'show', '00ff')).code, 2);
  assert.equal((await server.cli('cert', 'show', replaced.serial.replace(/.{8}$/, '00000000'))).code, 3);
});

test('listings go on where they ended', async () => {
  const first = await server.json<List<{ serial: string }>>('cert', 'list', '--limit', '2');
  assert.equal(first.items.length, 2);
  const rest = await server.json<List<{ serial: string }>>(
    'cert',
    'list',
    '--limit',
    '100000',
    '--cursor',
    first.next_cursor!,
  );
  const all = await server.json<List<{ serial: string }>>('cert', 'list', '--limit', '1000');
  const serials = ({ items }: List<{ serial: string }>) => items.map(({ serial }) => serial);
  assert.deepEqual([...serials(first), ...serials(rest)], serials(all));
  assert.ok(serials(all).length > 4 && rest.next_cursor === undefined);
  const text = await server.cli('cert', 'list', '--limit', '1');
  assert.match(text.stderr, /^More: add --cursor \S+\n$/);
  assert.equal((await server.cli('cert', 'list', '--limit', '0')).code, 2);
  assert.equal((await server.cli('cert', 'list', '--cursor', 'nonsense')).code, 2);
});

test('owners: gone at once, back only with others’ consent', async () => {
  await server.json('agent', 'register', 'orphan', '--team', 'leavers', '--sponsor', 'x@example.com', '--purpose', 'p');
  using identity = await connect({ token: await server.token('orphan-2') });
  await server.json('agent', 'update', 'orphan-2', '--team', 'leavers');
  assert.deepEqual(
    cells(await server.cli('owner', 'list'))
      .find(([team]) => team === 'leavers')
      ?.slice(0, 2),
    ['leavers', 'active'],
  );
  assert.match((await server.cli('owner', 'remove', 'leavers', '--dry-run')).stdout, /^Would quarantine/);
  assert.equal((await server.cli('owner', 'remove', 'leavers')).code, 0);
  assert.equal(cells(await server.cli('agent', 'list', '--team', 'leavers'))[1]![2], 'quarantined');
  await assert.rejects(identity.renew(), { code: 'inactive' });
  const back = await server.cli('owner', 'restore', 'leavers');
  assert.equal(back.code, 6);
  assert.match(back.stderr, /^error: .*needs 2 of ca-officers.*\n( {2}- .*\n)+next: /);
});

test('authorities, profiles, policy, operators, whoami', async () => {
  const authorities = cells(await server.cli('ca', 'list'));
  assert.deepEqual(
    authorities
      .slice(1)
      .map((row) => row[1])
      .sort(),
    ['intermediate', 'issuing', 'root'],
  );
  const [, [id]] = authorities as [string[], [string]];
  assert.match(
    (await server.cli('ca', 'show', id, '--pem')).stdout,
    /^-----BEGIN CERTIFICATE-----\n(?:.|\n)*-----END CERTIFICATE-----\n$/,
  );
  assert.match((await server.cli('ca', 'show', id)).stdout, /^state +active$/m);
  const agentProfile = cells(await server.cli('profile', 'list')).find(([name]) => name === 'agent')!;
  assert.deepEqual(agentProfile.slice(1, 3), ['agent', '1 h (5 min to 1 d)']);
  assert.equal((await server.json<{ name: string }>('profile', 'show', 'service')).name, 'service');
  const policy = join(server.scratch, 'rules.cedar');
  writeFileSync(policy, (await server.cli('policy', 'show')).stdout);
  assert.deepEqual(await server.cli('policy', 'check', policy), {
    code: 0,
    stdout: 'No errors and no warnings.\n',
    stderr: '',
  });
  writeFileSync(policy, 'permit (principal, action, resource) when { principal.nonsense };');
  const findings = await server.cli('policy', 'check', policy);
  assert.equal(findings.code, 7);
  assert.match(cells(findings)[1]!.join('|'), /^error\|1:\d+\|/);
  assert.deepEqual(cells(await server.cli('operator', 'list'))[1]!.slice(0, 2), ['admin', 'active']);
  const whoami = await server.json('whoami');
  assert.deepEqual([whoami['kind'], whoami['name'], whoami['server']], ['operator', 'admin', server.api]);
});

test('credentials: found, refused when others can read them, told from other files', async () => {
  const copy = join(server.scratch, 'copy.json');
  copyFileSync(server.operator, copy);
  chmodSync(copy, 0o640);
  const open = await server.cli('whoami', '--operator', copy);
  assert.equal(open.code, 1);
  assert.match(open.stderr, /next: Run: chmod 600 /);
  chmodSync(copy, 0o600);
  assert.equal((await server.cli('whoami', '--operator', copy)).code, 0);
  assert.equal((await server.cli('whoami', '--operator', join(server.scratch, 'writ-data-operator'))).code, 0);
  const none = await server.cli('whoami', '--operator', join(server.scratch, 'none'));
  assert.equal(none.code, 4);
  for (const text of ['{}', 'x', '{"version":1,"name":"a","server":"https://x","roots":[],"chain":[],"key":"k"}']) {
    writeFileSync(copy, text);
    assert.equal((await server.cli('whoami', '--operator', copy)).code, 2, text);
  }
  const away = await server.cli('whoami', '--server', 'https://127.0.0.1:1');
  assert.equal(away.code, 1);
  assert.match(
    away.stderr,
    /^error: The server at 127\.0\.0\.1:1 is not there: nothing listens on that port\.\nnext: /,
  );
  assert.equal((await server.cli('whoami', '--server', 'http://127.0.0.1:1')).code, 2);
  const plain = await server.cli('whoami', '--server', server.plain.replace('http:', 'https:'));
  assert.equal(plain.code, 1);
  assert.match(
    plain.stderr,
    /^error: The server at \S+ does not speak TLS on that port\.\nnext: Give the port of the API/,
  );
});

test('every cause that can be named is one that the authority knows', () => {
  for (const cause of CAUSES) assert.ok(cause in KNOWN, cause);
});

test('every command has JSON of its own, help and a reference', () => {
  for (const { path, summary, parameters = [], flags = [] } of commandTable()) {
    assert.match(summary, /^[A-Z][^.]*$/, path);
    assert.ok(
      parameters.slice(0, -1).every(({ rest }) => rest !== true),
      path,
    );
    assert.equal(new Set(flags.map(({ name }) => name)).size, flags.length, path);
    for (const { name, summary: said } of flags) assert.match(said, /[^.]$/, `${path} --${name}`);
  }
});
