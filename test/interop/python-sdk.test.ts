/** The Python library against the real authority and the real daemon: its own tests, run on its built wheel. */
import assert from 'node:assert/strict';
import { type ChildProcessByStdio, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, readdirSync, realpathSync } from 'node:fs';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { after, test } from 'node:test';
import { createServer as createTlsServer } from 'node:tls';
import { Daemon } from '../../src/agent/daemon.ts';
import { connect } from '../../src/sdk/enrolment/connect.ts';
import { createVerifier } from '../../src/sdk/verifier/verifier.ts';
import { testServer } from '../server.ts';
import { pathOf, pythonForSdk, pythonWithFrameworks, skipOf } from './tools.ts';

const PYTHON = pythonForSdk();
const skip = skipOf(PYTHON);
const CLIENT = resolve(import.meta.dirname, '../../clients/python');
const server = await testServer();
const scratch = realpathSync(server.scratch);
const node = await connect({ token: await server.token('box', 'service') });
const daemon = await Daemon.start({
  identity: node,
  socket: join(scratch, 'agent', 'api.sock'),
  admin: join(scratch, 'agent-admin', 'api.sock'),
});
const store = join(scratch, 'stored');
const stored = await connect({ token: await server.token('stored'), store });
stored.close();

/** What the tests have done for them over there. */
const acts: Readonly<Record<string, (...words: string[]) => Promise<unknown>>> = {
  cli: (...words) => server.json(...words),
  token: (name, kind) => server.token(name!, kind as 'agent' | 'service'),
  'renew-workload': async (id) => {
    const child = [...daemon.workloads.children].find(({ spiffeId }) => spiffeId === id);
    await child!.renew();
    return {};
  },
};

const control = createServer((request, response) => {
  const answer = async (): Promise<unknown> =>
    acts[request.url!.slice(1)]!(...(JSON.parse(await textOf(request)) as string[]));
  answer().then(
    (said) => response.end(JSON.stringify(said)),
    (error: Error) => {
      response.statusCode = 500;
      response.end(JSON.stringify(error.message));
    },
  );
});
control.listen(0, '127.0.0.1');
await once(control, 'listening');
after(async () => {
  control.close();
  await daemon.close();
  node.close();
});

async function textOf(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of request) text += chunk;
  return text;
}

const installed = join(scratch, 'installed');

/** Builds the wheel from a copy, since building leaves its traces, and installs it. */
function install(): void {
  const copy = join(scratch, 'source');
  for (const name of ['pyproject.toml', 'README.md', 'src/writ'])
    cpSync(join(CLIENT, name), join(copy, name), { recursive: true });
  const wheels = join(scratch, 'wheels');
  const pip = (...args: string[]): void => {
    const { status, stderr } = spawnSync(pathOf(PYTHON), ['-m', 'pip', '--disable-pip-version-check', ...args], {
      encoding: 'utf8',
    });
    assert.equal(status, 0, stderr);
  };
  pip('wheel', '--quiet', '--no-deps', '--no-build-isolation', '--wheel-dir', wheels, copy);
  const [wheel] = readdirSync(wheels);
  assert.match(wheel!, /^writ-.*-py3-none-any\.whl$/);
  pip('install', '--quiet', '--no-deps', '--no-index', '--target', installed, join(wheels, wheel!));
}

function run(args: readonly string[], python = PYTHON): Promise<{ status: number | null; said: string }> {
  const { port } = control.address() as AddressInfo;
  const child = spawn(pathOf(python), args, {
    cwd: join(CLIENT, 'tests'),
    env: {
      ...process.env,
      PYTHONPATH: installed,
      PYTHONDONTWRITEBYTECODE: '1',
      WRIT_TEST_API: server.api,
      WRIT_TEST_CONTROL: `http://127.0.0.1:${port}`,
      WRIT_TEST_STORE: store,
      WRIT_TEST_WORKLOAD_API: `unix://${join(scratch, 'agent', 'api.sock')}`,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
  return new Promise((done) => child.on('close', (status) => done({ status, said })));
}

test('the wheel builds, and carries its types', { skip }, () => {
  install();
  assert.ok(readdirSync(join(installed, 'writ')).includes('py.typed'));
});

test('types hold', { skip }, async () => {
  const places = [join(CLIENT, 'src'), join(CLIENT, 'examples')];
  const config = ['--config-file', join(CLIENT, 'pyproject.toml'), '--cache-dir', join(scratch, 'mypy')];
  const { status, said } = await run(['-m', 'mypy', ...config, ...places]);
  assert.equal(status, 0, said);
});

for (const name of [
  'parts',
  'connect',
  'evidence',
  'platforms',
  'children',
  'tls',
  'verifier',
  'adapters',
  'workload_api',
  'examples',
]) {
  test(`test_${name}.py`, { skip }, async () => {
    if (name === 'workload_api') {
      const match = ['--match', `unix:path=${realpathSync(pathOf(PYTHON))}`];
      for (const [agent, hint] of [
        ['scribe', 'first'],
        ['editor', 'second'],
      ] as const) {
        await server.token(agent);
        await server.json('entry', 'create', agent, '--node', 'box', ...match, '--hint', hint);
      }
      await server.token('evident');
      const evident = ['--match', 'agent:framework=langgraph', '--hint', 'evident'];
      await server.json('entry', 'create', 'evident', '--node', 'box', ...match, ...evident);
      await daemon.refresh();
    }
    if (name === 'children') {
      await server.token('planner');
      await server.token('crew', 'service');
      await server.json('entry', 'create', 'planner', '--node', 'crew', '--match', 'parent:reference=trip-*');
    }
    const { status, said } = await run(['-m', 'unittest', '-v', `test_${name}`]);
    assert.equal(status, 0, said);
    if (name === 'connect') await goesOn();
  });
}

/** What that library has stored, this one goes on with. */
async function goesOn(): Promise<void> {
  const again = await connect({ store });
  assert.equal(again.spiffeId, stored.spiffeId);
  assert.notEqual(again.credential.serial, stored.credential.serial);
  await again.renew();
  again.close();
}

/** Lines of JSON that a program of Python has said so far. */
interface Program {
  readonly child: ChildProcessByStdio<Writable, Readable, null>;
  readonly lines: readonly Readonly<Record<string, unknown>>[];
  line(what: (line: Readonly<Record<string, unknown>>) => boolean): Promise<Readonly<Record<string, unknown>>>;
}

function start(token: string, ...args: string[]): Program {
  const child = spawn(pathOf(PYTHON), args, {
    env: { ...process.env, PYTHONPATH: installed, PYTHONDONTWRITEBYTECODE: '1', WRIT_TOKEN: token },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  after(() => child.kill('SIGKILL'));
  const lines: Record<string, unknown>[] = [];
  createInterface({ input: child.stdout }).on('line', (line) =>
    lines.push(line.startsWith('{') ? (JSON.parse(line) as Record<string, unknown>) : { line }),
  );
  return {
    child,
    lines,
    async line(what) {
      const late = performance.now() + 30_000;
      for (;;) {
        const found = lines.find(what);
        if (found !== undefined) return found;
        assert.ok(performance.now() < late, `not within 30 s: ${what}; said ${JSON.stringify(lines)}`);
        await new Promise((then) => setTimeout(then, 10));
      }
    },
  };
}

test('a client in Python and a server in TypeScript: through renewals of both, until the client is stopped in mid-stream', {
  skip,
}, async () => {
  const verifier = createVerifier({ identity: node, mode: 'strict' });
  after(() => verifier.close());
  await verifier.ready(AbortSignal.timeout(10_000));
  const listener = createTlsServer(verifier.serverOptions(), (peer) => peer.pipe(peer).on('error', () => undefined));
  verifier.protect(listener, { allow: 'agent/planner/*' });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  after(() => listener.close());
  const address = `127.0.0.1:${(listener.address() as AddressInfo).port}`;

  const script = join(import.meta.dirname, 'python/mutual-tls.py');
  const client = start(await server.token('planner'), script, address, 'service/box/*');
  const { id } = (await client.line((line) => 'id' in line)) as { id: string };
  await client.line(({ count }) => count === 3);
  const { serial } = await node.renew();
  client.child.stdin.write('renew\n');
  const renewed = await client.line((line) => 'renewed' in line);
  assert.equal(renewed['answered'], 'hello\n');
  assert.equal(node.credential.serial, serial);
  const { length } = client.lines;
  await client.line(({ count }) => count === length + 10);

  await server.json('instance', 'stop', id.split('/').at(-1)!, '--yes');
  // Within half a minute; its certificate has most of an hour left.
  await client.line((line) => 'ended' in line);
});

test('a server in Python and a client in TypeScript: through a renewal, until the client is stopped', {
  skip,
}, async () => {
  const service = start(await server.token('bookings', 'service'), join(CLIENT, 'examples/booking_service.py'));
  const url = (await service.line((line) => 'line' in line))['line'] as string;
  const planner = await connect({ token: await server.token('planner') });
  after(() => planner.close());
  const call = planner.fetch({ allow: 'service/bookings/*' });
  const book = async (): Promise<unknown> =>
    (await call(url, { method: 'POST', body: JSON.stringify({ city: 'Lisbon' }) })).json();
  const booked = { table: 'for two in Lisbon', booked_for: planner.spiffeId };
  assert.deepEqual(await book(), booked);
  await planner.renew();
  assert.deepEqual(await book(), booked);
  await assert.rejects(planner.fetch({ allow: 'service/payments/*' })(url), /not allowed here/);
  await server.json('instance', 'stop', planner.spiffeId.split('/').at(-1)!, '--yes');
  const late = performance.now() + 30_000;
  for (;;) {
    const said = await book().catch(() => undefined);
    if (said === undefined || !('booked_for' in (said as object))) break;
    assert.ok(performance.now() < late);
  }
});

const FRAMEWORKS = pythonWithFrameworks();

test('test_examples.py on LangGraph, the OpenAI Agents SDK and the MCP SDK', {
  skip: skip === false ? skipOf(FRAMEWORKS) : skip,
}, async () => {
  const { status, said } = await run(['-m', 'unittest', '-v', 'test_examples'], FRAMEWORKS);
  assert.equal(status, 0, said);
});
