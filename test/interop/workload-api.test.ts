/** Programs with go-spiffe and py-spiffe, as they are, on the Workload API of `writ agent`: identities, tokens, mutual TLS, a renewal, a stop. */
import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, realpathSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { createServer } from 'node:tls';
import { createVerifier } from '../../src/sdk/verifier/verifier.ts';
import { machine } from './machine.ts';
import { go, pathOf, pythonWithSpiffe, skipOf } from './tools.ts';

const GO = go();
const { server, node, daemon, scratch, socket, prefix, atEnd, ...box } = await machine();

interface Line {
  readonly error?: string;
  readonly svids?: readonly { readonly id: string; readonly serial: string; readonly hint: string }[];
  readonly bundles?: readonly string[];
  readonly jwt?: Readonly<Record<string, number>>;
  readonly x509?: string;
  readonly id?: string;
  readonly own?: string;
  readonly daemon?: string;
  readonly other?: boolean;
  readonly listening?: string;
  readonly heard?: string;
  readonly answer?: string;
  readonly from?: string;
}

interface Program {
  readonly child: ChildProcess;
  readonly lines: readonly Line[];
  line(what: (line: Line) => boolean, ms?: number): Promise<Line>;
}

/** A copy of the program for each workload: its path is what it is known by. */
function build(...names: string[]): void {
  const folder = join(import.meta.dirname, 'go-spiffe');
  const program = join(scratch, 'spiffe');
  execFileSync(pathOf(GO), ['build', '-o', program, '.'], { cwd: folder, stdio: ['ignore', 'inherit', 'inherit'] });
  for (const name of names) copyFileSync(program, join(scratch, name));
}

function run(name: string, ...args: string[]): Program {
  return start(join(scratch, name), ...args);
}

function start(program: string, ...args: string[]): Program {
  const child = spawn(program, args, {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, SPIFFE_ENDPOINT_SOCKET: `unix://${socket}` },
  });
  atEnd(() => child.kill('SIGKILL'));
  const lines: Line[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => lines.push(JSON.parse(line) as Line));
  return {
    child,
    lines,
    async line(what, ms = 30_000) {
      const late = performance.now() + ms;
      for (;;) {
        const found = lines.find(what);
        if (found !== undefined) return found;
        assert.ok(performance.now() < late, `not within ${ms} ms: ${what}; said ${JSON.stringify(lines)}`);
        await new Promise((then) => setTimeout(then, 10));
      }
    },
  };
}

/** Whoever runs the program of this name is let in as this agent. */
function entry(agent: string, program: string, ...flags: string[]): Promise<void> {
  return box.entry(agent, join(scratch, program), ...flags);
}

const instanceOf = (id: string): string => id.split('/').at(-1)!;
const skip = skipOf(GO);

test('go-spiffe sees identities, bundles and hints; renewals as they come; and that it was stopped', {
  skip,
}, async () => {
  build('watcher', 'client', 'books');
  await entry('planner', 'watcher', '--hint', 'inside');
  await entry('reader', 'watcher', '--hint', 'outside');
  const watcher = run('watcher', 'watch');
  const first = await watcher.line(({ svids }) => svids?.length === 2);
  assert.deepEqual(
    first.svids!.map(({ hint }) => hint),
    ['inside', 'outside'],
  );
  assert.deepEqual(first.bundles, [node.trustDomain]);
  assert.deepEqual((await watcher.line(({ jwt }) => jwt !== undefined)).jwt, { [node.trustDomain]: 1 });

  const planner = [...daemon.workloads.children].find(({ spiffeId }) => spiffeId === first.svids![0]!.id)!;
  await planner.renew();
  const renewed = await watcher.line(
    ({ svids }) => svids !== undefined && svids[0]!.serial !== first.svids![0]!.serial,
  );
  assert.deepEqual(
    renewed.svids!.map(({ id }) => id),
    first.svids!.map(({ id }) => id),
  );
  await server.json('instance', 'stop', planner.instance, '--yes');
  const left = await watcher.line(({ svids }) => svids?.length === 1);
  assert.equal(left.svids![0]!.id, first.svids![1]!.id);
  await server.json('instance', 'stop', instanceOf(left.svids![0]!.id), '--yes');
  assert.match((await watcher.line(({ x509 }) => x509 !== undefined)).x509!, /PermissionDenied/);
});

test('a JWT-SVID is believed by go-spiffe itself and by the daemon, for its audience alone', { skip }, async () => {
  await entry('planner', 'client');
  const said = await run('client', 'jwt', 'bank').line(({ id, error }) => id !== undefined || error !== undefined);
  assert.match(said.id ?? JSON.stringify(said), /\/agent\/planner\//);
  assert.deepEqual([said.own, said.daemon, said.other], [said.id, said.id, true]);
});

test('two programs talk mutual TLS; whoever the other does not expect is refused', { skip }, async () => {
  await entry('books', 'books');
  const books = run('books', 'serve', '127.0.0.1:0', prefix('agent/planner'));
  const { listening } = await books.line((line) => line.listening !== undefined);
  const client = run('client', 'dial', listening!, prefix('agent/books'));
  const [answer, heard] = await Promise.all([
    client.line((line) => line.answer === 'hello'),
    books.line((line) => line.heard === 'hello'),
  ]);
  assert.ok(answer.from!.startsWith(prefix('agent/books')));
  assert.ok(heard.from!.startsWith(prefix('agent/planner')));
  const wrong = run('client', 'dial', listening!, prefix('agent/other'));
  assert.match((await wrong.line(({ error }) => error !== undefined)).error!, /not one of/);
});

test('two languages: a connection goes on through renewals on both sides, and is cut when one side is stopped', {
  skip,
}, async () => {
  const verifier = createVerifier({ identity: node, mode: 'strict' });
  atEnd(() => verifier.close());
  await verifier.ready(AbortSignal.timeout(10_000));
  const listener = createServer(verifier.serverOptions(), (peer) => peer.pipe(peer).on('error', () => undefined));
  verifier.protect(listener, { allow: 'agent/planner/*' });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  atEnd(() => listener.close());
  const { port } = listener.address() as AddressInfo;

  const before = new Set([...daemon.workloads.children]);
  const client = run('client', 'dial', `127.0.0.1:${port}`, prefix('service/box'));
  await client.line(({ answer }) => answer === 'hello');
  const own = [...daemon.workloads.children].find(
    (child) => !before.has(child) && child.spiffeId.includes('/planner/'),
  )!;
  const count = client.lines.length;
  await Promise.all([own.renew(), node.renew()]);
  await client.line(() => client.lines.length > count + 5);
  // Whoever connects now shows the new certificates, and is accepted.
  await run('client', 'dial', `127.0.0.1:${port}`, prefix('service/box')).line(({ answer }) => answer === 'hello');

  await server.json('instance', 'stop', own.instance, '--yes');
  // Within half a minute; its certificate has most of an hour left.
  assert.match((await client.line(({ error }) => error !== undefined)).error!, /ended|EOF|reset/);
});

const PYTHON = pythonWithSpiffe();

test('py-spiffe gets identities, tokens and bundles, and sees what is renewed and redacted', {
  skip: skipOf(PYTHON),
}, async () => {
  const python = pathOf(PYTHON);
  await server.token('scribe');
  const match = ['--match', `unix:path=${realpathSync(python)}`];
  for (const hint of ['one', 'two'])
    await server.json('entry', 'create', 'scribe', '--node', 'box', ...match, '--hint', hint);
  await daemon.refresh();
  const script = join(import.meta.dirname, 'python', 'workload.py');
  const once = (await start(python, script).line(({ svids }) => svids !== undefined)) as unknown as PythonLine;
  assert.equal(once.svids.length, 2);
  assert.ok(once.svids[0]![0].startsWith(prefix('agent/scribe')));
  assert.deepEqual([once.roots, once.keys, once.token, once.validated], [1, 1, once.svids[0]![0], once.svids[0]![0]]);
  assert.equal(once.other, 'ValidateJwtSvidError');

  const watcher = start(python, script, 'watch');
  const lines = watcher.lines as unknown as readonly PythonLine[];
  await watcher.line(() => lines.length > 0);
  const [first, other] = [lines[0]!.svids[0]!, lines[0]!.svids[1]!];
  const own = [...daemon.workloads.children].find(({ spiffeId }) => spiffeId === first[0])!;
  await own.renew();
  await watcher.line(() => lines.some(({ svids }) => svids[0]![0] === first[0] && svids[0]![1] !== first[1]));
  await server.json('instance', 'stop', own.instance, '--yes');
  await watcher.line(() => lines.some(({ svids }) => svids.length === 1 && svids[0]![0] === other[0]));
});

interface PythonLine {
  readonly svids: readonly (readonly [id: string, serial: string])[];
  readonly roots: number;
  readonly keys: number;
  readonly token: string;
  readonly validated: string;
  readonly other: string;
}

test('a proxy gets its secrets by Envoy’s own messages, again when they are renewed, and is told of no others', {
  skip,
}, async () => {
  const program = join(scratch, 'proxy');
  const folder = join(import.meta.dirname, 'go-sds');
  execFileSync(pathOf(GO), ['build', '-o', program, '.'], { cwd: folder, stdio: ['ignore', 'inherit', 'inherit'] });
  await entry('front', 'proxy', '--hint', 'edge');
  const mine = prefix('agent/front').slice(0, -1);
  const proxy = start(
    program,
    socket,
    'default',
    'edge',
    mine,
    'ROOTCA',
    'ALL',
    prefix('agent/books').slice(0, -1),
    '!more',
    `!spiffe://${node.trustDomain}`,
  );
  const lines = proxy.lines as unknown as readonly {
    readonly version: string;
    readonly secrets: Record<string, string>;
  }[];
  await proxy.line(() => lines.length > 1);
  const own = [...daemon.workloads.children].find(({ spiffeId }) => spiffeId.startsWith(prefix('agent/front')))!;
  const certificate = `${own.spiffeId} ${own.credential.serial.replace(/^0+/, '')}`;
  const both = { ROOTCA: 'roots 1', ALL: `envoy.tls.cert_validator.spiffe ${node.trustDomain}:1` };
  const wanted = { default: certificate, edge: certificate, [mine]: certificate, ...both };
  assert.deepEqual(lines[0], { version: '1', secrets: wanted });
  assert.deepEqual(lines[1], { version: '2', secrets: { ...wanted, [`spiffe://${node.trustDomain}`]: 'roots 1' } });
  await own.renew();
  await proxy.line(() => lines.length > 2);
  assert.equal(lines[2]!.secrets['default'], `${own.spiffeId} ${own.credential.serial.replace(/^0+/, '')}`);
  assert.notEqual(lines[2]!.secrets['default'], certificate);

  // One that refuses an answer does not get it again and again, but the next.
  const picky = start(program, socket, '-', 'default');
  const said = picky.lines as unknown as typeof lines;
  await picky.line(() => said.length > 0);
  await new Promise((then) => setTimeout(then, 500));
  assert.equal(said.length, 1);
  const other = [...daemon.workloads.children].find(
    (child) => child !== own && child.spiffeId.startsWith(prefix('agent/front')),
  )!;
  await other.renew();
  await picky.line(() => said.length > 1);
  assert.equal(said[1]!.version, '2');
  await server.json('instance', 'stop', own.instance, '--yes');
  assert.match((await proxy.line(({ error }) => error !== undefined)).error!, /PermissionDenied/);
});

test('a proxy on an incremental stream gets what it asks for, then what has become another one, and hears what there is not', {
  skip,
}, async () => {
  const program = join(scratch, 'increments');
  const folder = join(import.meta.dirname, 'go-sds');
  execFileSync(pathOf(GO), ['build', '-o', program, '.'], { cwd: folder, stdio: ['ignore', 'inherit', 'inherit'] });
  await entry('front', 'increments', '--hint', 'edge');
  await daemon.refresh();
  const before = new Set(daemon.workloads.children);
  const proxy = start(program, socket, 'delta', 'default', 'ROOTCA', 'nothing', '!edge', '~ROOTCA');
  const lines = proxy.lines as unknown as readonly {
    readonly secrets: Record<string, string>;
    readonly removed: readonly string[];
  }[];
  await proxy.line(() => lines.length > 1);
  const own = [...daemon.workloads.children].find((child) => !before.has(child))!;
  const certificate = (): string => `${own.spiffeId} ${own.credential.serial.replace(/^0+/, '')}`;
  assert.deepEqual(lines[0], { secrets: { default: certificate(), ROOTCA: 'roots 1' }, removed: ['nothing'] });
  assert.deepEqual(lines[1], { secrets: { edge: certificate() }, removed: [] });
  await own.renew();
  await proxy.line(() => lines.length > 2);
  assert.deepEqual(lines[2], { secrets: { default: certificate(), edge: certificate() }, removed: [] });
  await server.json('instance', 'stop', own.instance, '--yes');
  assert.match((await proxy.line(({ error }) => error !== undefined)).error!, /PermissionDenied/);
});
