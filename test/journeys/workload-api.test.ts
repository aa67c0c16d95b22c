/** `writ agent run` as a process of its own, from an empty server to programs that have identities, and what goes wrong. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createPrivateKey } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, globSync, lstatSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, test } from 'node:test';
import { header, readStream, type WorkloadStub, workloadStub } from '../../src/agent/testdata/client.ts';
import { connect, createVerifier } from '../../src/sdk/entry.ts';
import { missingProgram } from '../gaps.ts';
import { cli, testServer } from '../server.ts';

const server = await testServer();
const closing: (() => unknown)[] = [];
after(async () => {
  for (const close of closing.reverse()) await close();
});

const ROOT = join(import.meta.dirname, '../..');
const socket = join(server.scratch, 'run', 'api.sock');
const admin = join(server.scratch, 'run-admin', 'api.sock');
const store = join(server.scratch, 'store');

interface Daemon {
  readonly child: ChildProcess;
  readonly id: string;
  readonly said: () => string;
}

interface Ended {
  readonly code: number | null;
  readonly said: string;
}

function launch(...flags: string[]): {
  readonly child: ChildProcess;
  readonly first: Promise<string>;
  readonly said: () => string;
  readonly ended: Promise<Ended>;
} {
  const line = ['agent', 'run', '--socket', socket, '--json', '--store', store, ...flags];
  const child = spawn(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', join(ROOT, 'src/cmd/main.ts'), ...line],
    {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, NODE_TEST_CONTEXT: undefined },
    },
  );
  closing.push(() => child.kill('SIGKILL'));
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => {
    said += chunk.toString();
  });
  const first = once(createInterface({ input: child.stdout }), 'line').then(([text]) => String(text));
  const ended = once(child, 'exit').then(([code]) => ({ code: code as number | null, said }));
  return { child, first, said: () => said, ended };
}

async function daemon(...flags: string[]): Promise<Daemon> {
  const { child, first, said, ended } = launch(...flags);
  const line = await Promise.race([first, ended]);
  assert.ok(typeof line === 'string', JSON.stringify(line));
  const { socket: at, spiffe_id: id } = JSON.parse(line) as { socket: string; spiffe_id: string };
  assert.equal(at, `unix://${socket}`);
  return { child, id, said };
}

function stub(): WorkloadStub {
  const made = workloadStub(socket);
  closing.push(() => made.close());
  return made;
}

const fetchOnce = async () => {
  const stream = readStream(stub().FetchX509SVID({}, header()));
  return { stream, first: (await stream.count(1))[0]! };
};

async function until(what: () => boolean | Promise<boolean>, ms = 20_000): Promise<void> {
  const late = performance.now() + ms;
  while (!(await what())) {
    assert.ok(performance.now() < late, `not within ${ms} ms: ${what}`);
    await new Promise((then) => setTimeout(then, 20));
  }
}

const why = (pid: number) => cli(['agent', 'why', String(pid), '--admin-socket', admin, '--json']);

test('from an empty server to a program with an identity', async () => {
  await server.json(
    'agent',
    'register',
    'planner',
    '--team',
    'tests',
    '--sponsor',
    'ada@example.com',
    '--purpose',
    'tests',
  );
  const token = join(server.scratch, 'token');
  writeFileSync(token, await server.token('box', 'service'), { mode: 0o600 });
  await server.json(
    'entry',
    'create',
    'planner',
    '--node',
    'box',
    '--match',
    `unix:uid=${process.geteuid!()}`,
    '--match',
    `unix:gid=${process.getegid!()}`,
    '--hint',
    'main',
  );
  running = await daemon('--token-file', token);
  const { stream, first } = await fetchOnce();
  const [svid] = first.svids;
  assert.equal(svid!.hint, 'main');
  const { parent, attestation } = await server.json<{ parent: string; attestation: string }>(
    'instance',
    'show',
    instanceOf(svid!.spiffe_id),
  );
  assert.equal(parent, instanceOf(running.id));
  assert.equal(attestation, 'node');

  // The key of a workload lies nowhere: not with the daemon, not on its streams, not at the server.
  const secret = createPrivateKey({ key: svid!.x509_svid_key, format: 'der', type: 'pkcs8' }).export({ format: 'jwk' })
    .d!;
  const forms = [
    Buffer.from(secret, 'base64url').toString('latin1'),
    secret,
    svid!.x509_svid_key.toString('base64').slice(0, 60),
  ];
  for (const file of globSync(`${server.scratch}/**/*`).filter((path) => lstatSync(path).isFile())) {
    const text = readFileSync(file, 'latin1');
    for (const form of forms) assert.ok(!text.includes(form), file);
  }
  for (const form of forms) assert.ok(!running.said().includes(form));
  // Nobody else of its user can read it out of memory, either.
  assert.equal(statSync(`/proc/${running.child.pid}/environ`).uid, 0);

  const { code, stdout } = await why(process.pid);
  assert.equal(code, 0);
  const said = JSON.parse(stdout) as { facts: Record<string, string[]>; entries: { spiffe_id?: string }[] };
  assert.deepEqual(said.facts['unix:uid'], [String(process.geteuid!())]);
  assert.equal(said.entries[0]!.spiffe_id, svid!.spiffe_id);
  stream.cancel();
});

let running: Daemon;

function instanceOf(id: string): string {
  return id.split('/').at(-1)!;
}

test('"writ agent why" says what did not match, and of whom nothing is known', async () => {
  await server.json(
    'entry',
    'create',
    'planner',
    '--node',
    'box',
    '--match',
    'unix:path=/opt/other',
    '--match',
    `unix:uid=${process.geteuid!()}`,
  );
  await until(async () => (JSON.parse((await why(process.pid)).stdout) as { entries: unknown[] }).entries.length === 2);
  const { entries } = JSON.parse((await why(process.pid)).stdout) as { entries: { missing: string[] }[] };
  assert.deepEqual(
    entries.map(({ missing }) => missing),
    [[], ['unix:path=/opt/other']],
  );
  const text = await cli(['agent', 'why', String(process.pid), '--admin-socket', admin]);
  assert.match(text.stdout, /not: unix:path=\/opt\/other/);
  const gone = await cli(['agent', 'why', String(2 ** 22 + 1), '--admin-socket', admin]);
  assert.equal(gone.code, 3);
  assert.match(gone.stderr, /writ ledger list --subject agent:box/);
});

test('a machine is let in as a service and not as an agent, and it is said which flags there are', async () => {
  const token = join(server.scratch, 'agent-token');
  writeFileSync(token, await server.token('walker'), { mode: 0o600 });
  const apart = join(server.scratch, 'apart');
  const run = (...flags: string[]) => cli(['agent', 'run', '--socket', join(apart, 'api.sock'), ...flags]);
  const asAgent = await run('--token-file', token);
  assert.notEqual(asAgent.code, 0);
  assert.match(asAgent.stderr, /one of the agent walker[\s\S]*writ token create/);
  const { items } = await server.json<{ items: { status: string }[] }>('instance', 'list', 'walker');
  assert.deepEqual(
    items.map(({ status }) => status),
    ['stopped'],
  );
  for (const flags of [[], ['--service', 'box', '--token-file', token]]) {
    const { code, stderr } = await run(...flags);
    assert.equal(code, 2);
    assert.match(stderr, /Give one of --service and --token-file/);
  }
  const nobody = await cli(['agent', 'why', '1', '--socket', join(apart, 'api.sock')]);
  assert.match(nobody.stderr, /apart-admin\/api\.sock[\s\S]*--socket/);
});

test('one that is asked to end several times ends its instance all the same', async () => {
  await server.token('boxes', 'service');
  const apart = join(server.scratch, 'ending');
  const line = ['agent', 'run', '--service', 'boxes', '--operator', server.operator, '--server', server.api, '--json'];
  const child = spawn(process.execPath, [join(ROOT, 'src/cmd/main.ts'), ...line, '--socket', join(apart, 'api.sock')], {
    stdio: ['ignore', 'pipe', 'ignore'],
    env: { ...process.env, NODE_TEST_CONTEXT: undefined },
  });
  closing.push(() => child.kill('SIGKILL'));
  const exit = once(child, 'exit');
  const [first] = (await Promise.race([once(createInterface({ input: child.stdout }), 'line'), exit])) as unknown[];
  const { spiffe_id: id } = JSON.parse(String(first)) as { spiffe_id: string };
  // A terminal, npm, the launcher and systemd send it to more than one of a group, which pass it on.
  const again = setInterval(() => child.kill('SIGTERM'), 1);
  await exit.finally(() => clearInterval(again));
  const { status } = await server.json<{ status: string }>('instance', 'show', instanceOf(id));
  assert.equal(status, 'stopped');
});

test('a directory whose identity is not good any more is said to be that', async () => {
  const kept = join(server.scratch, 'kept');
  const identity = await connect({ token: await server.token('box', 'service'), store: kept });
  await identity.stop();
  const at = ['--socket', join(server.scratch, 'kept-run', 'api.sock'), '--store', kept];
  const { code, stderr } = await cli(['agent', 'run', ...at]);
  assert.notEqual(code, 0);
  assert.match(stderr, /holds no identity that is still good/);
});

test('a second daemon on the same socket is refused, and the first goes on', async () => {
  const second = await launch(
    '--service',
    'box',
    '--operator',
    server.operator,
    '--server',
    server.api,
    '--store',
    `${store}-2`,
    '--admin-socket',
    `${admin}-2`,
  ).ended;
  assert.notEqual(second.code, 0);
  assert.match(second.said, /Another daemon listens at this socket/);
  assert.ok(!existsSync(`${store}-2`), 'a machine was let in that serves nobody');
  const { stream } = await fetchOnce();
  stream.cancel();
});

test('a socket that somebody removed is there again; a stream of before goes on', async () => {
  const { stream, first } = await fetchOnce();
  rmSync(socket);
  await until(() => existsSync(socket));
  const again = await fetchOnce();
  assert.equal(again.first.svids[0]!.spiffe_id, first.svids[0]!.spiffe_id);
  again.stream.cancel();
  // Told over the old connection, too.
  await server.json('instance', 'stop', instanceOf(first.svids[0]!.spiffe_id), '--yes');
  assert.equal((await stream.ended).code, 7);
});

test('what an entry that is removed let in is stopped', async () => {
  const { stdout } = await server.cli('entry', 'list', '--json');
  const uid = `unix:uid=${process.geteuid!()}`;
  const created = await server.json<{ id: string }>('entry', 'create', 'planner', '--node', 'box', '--match', uid);
  await until(
    async () =>
      (JSON.parse((await why(process.pid)).stdout) as { entries: unknown[] }).entries.length ===
      JSON.parse(stdout).items.length + 1,
  );
  const { stream, first } = await fetchOnce();
  await server.json('entry', 'remove', created.id);
  assert.equal((await stream.ended).code, 7);
  const instance = instanceOf(first.svids[0]!.spiffe_id);
  await until(async () => (await server.json<{ status: string }>('instance', 'show', instance)).status === 'stopped');
});

test('a machine that is stopped ends, with all that it let in; until then it relays the feed', async () => {
  const at = join(server.scratch, 'other', 'api.sock');
  const token = join(server.scratch, 'token-2');
  writeFileSync(token, await server.token('crate', 'service'), { mode: 0o600 });
  const match = ['--match', `unix:uid=${process.geteuid!()}`];
  await server.json('entry', 'create', 'planner', '--node', 'crate', ...match);
  const flags = ['--socket', at, '--store', `${store}-3`, '--token-file', token, '--feed-listen', '127.0.0.1:0'];
  const { first, ended } = launch(...flags);
  const line = await Promise.race([first, ended]);
  assert.ok(typeof line === 'string', JSON.stringify(line));
  const { spiffe_id: machine, feed } = JSON.parse(line) as { spiffe_id: string; feed: string };
  const client = workloadStub(at);
  closing.push(() => client.close());
  const stream = readStream(client.FetchX509SVID({}, header()));
  const { svids } = (await stream.count(1))[0]!;

  const reader = await connect({ token: await server.token('reader') });
  closing.push(() => reader.close());
  const verifier = createVerifier({ identity: reader, mode: 'strict', feed, relays: 'service/crate/*' });
  closing.push(() => verifier.close());
  await verifier.ready(AbortSignal.timeout(10_000));

  await server.json('instance', 'stop', instanceOf(machine), '--yes');
  assert.equal((await stream.ended).code, 7);
  const { code, said } = await ended;
  assert.notEqual(code, 0);
  assert.match(said, /This machine has no identity any more/);
  const { status } = await server.json<{ status: string }>('instance', 'show', instanceOf(svids[0]!.spiffe_id));
  assert.equal(status, 'stopped');
});

test('a killed daemon comes back on what it left; the server may be away meanwhile', async () => {
  running.child.kill('SIGKILL');
  await once(running.child, 'exit');
  assert.ok(existsSync(socket));
  const before = running.id;
  running = await daemon();
  assert.equal(running.id, before, 'the machine is the same instance');
  const { stream, first } = await fetchOnce();
  await server.stop();
  const later = await fetchOnce();
  assert.equal(later.first.svids[0]!.spiffe_id, first.svids[0]!.spiffe_id);
  stream.cancel();
  later.stream.cancel();
  running.child.kill('SIGTERM');
  const [code] = (await once(running.child, 'exit')) as [number];
  assert.equal(code, 0, running.said());
  assert.equal(existsSync(socket), false);
});

test('the unit is one that systemd takes', (context) => {
  if (missingProgram('systemd-analyze', ['--version'], 'systemd') !== undefined) {
    context.diagnostic('no systemd here');
    return;
  }
  const unit = readFileSync(join(ROOT, 'deploy/writ-agent.service'), 'utf8');
  const [, dropIn] = /```ini\n([\s\S]*?)```/.exec(readFileSync(join(ROOT, 'docs/WORKLOAD-API.md'), 'utf8'))!;
  for (const text of [unit, `${unit}\n${dropIn}`]) {
    const place = join(server.scratch, 'writ-agent.service');
    writeFileSync(place, text.replaceAll('/opt/writ/', `${ROOT}/`));
    const { status, stderr } = spawnSync('systemd-analyze', ['verify', place], { encoding: 'utf8' });
    assert.deepEqual([status, stderr.split('\n').filter((line) => line.includes('writ-agent.service'))], [0, []]);
  }
});
