/**
 * What is published: the files that `npm pack` takes, put where npm would put them, used by an outsider. The launcher and
 * the client library run on the machine's own Node, however old (20 or later), the authority on the bundled one.
 */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';
import { after, before, test } from 'node:test';

const ROOT = resolve(import.meta.dirname, '..');
const scratch = mkdtempSync(join(tmpdir(), 'writ-package-'));
const published = join(scratch, 'writ');
const app = join(scratch, 'app');
const installed = join(app, 'node_modules/writ');
const environment: NodeJS.ProcessEnv = { ...process.env };
delete environment['NODE_TEST_CONTEXT'];
delete environment['NODE_OPTIONS'];
after(() => rmSync(scratch, { recursive: true, force: true, maxRetries: 5 }));

/** The machine's own Node, where it is another than this one. */
const OLD = ['/usr/bin/node', '/usr/local/bin/node', process.env['npm_node_execpath'] ?? ''].find((path) => {
  const version = existsSync(path) ? spawnSync(path, ['-p', 'process.versions.node'], { encoding: 'utf8' }).stdout : '';
  return Number.parseInt(version, 10) >= 20 && Number.parseInt(version, 10) < 26;
});
const NODE = OLD ?? process.execPath;

before(() => {
  for (const path of ['package.json', 'bin', 'proto', 'LICENSE', 'README.md']) {
    cpSync(join(ROOT, path), join(published, path), { recursive: true });
  }
  const build = ['tools/build.ts', '--out', join(published, 'dist')];
  const built = spawnSync(process.execPath, build, { cwd: ROOT, encoding: 'utf8', env: environment });
  assert.equal(built.status, 0, built.stdout + built.stderr);
  const packed = spawnSync('npm', ['pack', '--ignore-scripts', '--offline', '--silent'], {
    cwd: published,
    encoding: 'utf8',
  });
  assert.equal(packed.status, 0, packed.stderr);
  mkdirSync(installed, { recursive: true });
  const tarball = join(published, packed.stdout.trim());
  assert.equal(spawnSync('tar', ['-xzf', tarball, '-C', installed, '--strip-components=1']).status, 0);
  // What npm would have installed beside it.
  for (const name of readdirSync(join(ROOT, 'node_modules'))) {
    if (!name.startsWith('.')) symlinkSync(join(ROOT, 'node_modules', name), join(app, 'node_modules', name));
  }
  writeFileSync(join(app, 'package.json'), '{"type":"module"}');
});

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)));
}

test('the package holds what runs, and nothing else', () => {
  const files = filesBelow(installed);
  for (const file of [
    'bin/node-flags.js',
    'bin/writ.js',
    'dist/cmd/main.js',
    'dist/sdk/entry.js',
    'dist/sdk/entry.d.ts',
    'proto/writ/feed/v1/feed.proto',
    'LICENSE',
    'README.md',
  ]) {
    assert.ok(files.includes(file), file);
  }
  const kinds =
    /^(package\.json|LICENSE|README\.md|bin\/(writ|node-flags)\.js|proto\/.*\.proto|dist\/.*(\.js|\.d\.ts|\.sql|\.cedar|\.cedarschema))$/;
  assert.deepEqual(
    files.filter((file) => !kinds.test(file)),
    [],
  );
  assert.deepEqual(
    files.filter((file) => /\.test\.|testdata|\.map$/.test(file)),
    [],
  );
  const migrations = (folder: string): string[] => readdirSync(folder).filter((name) => name.endsWith('.sql'));
  assert.deepEqual(migrations(join(installed, 'dist/db/migrations')), migrations(join(ROOT, 'src/db/migrations')));
});

/** Every file that an entry of the package loads, and what of others it imports. */
function closureOf(entry: string): {
  readonly files: readonly string[];
  readonly folders: readonly string[];
  readonly foreign: readonly string[];
} {
  const foreign = new Set<string>();
  const seen = new Set<string>();
  const visit = (file: string): void => {
    if (seen.has(file)) return;
    seen.add(file);
    // Not `Buffer.from('…')`.
    for (const [, from] of readFileSync(file, 'utf8').matchAll(/(?<!\.)\b(?:from|import)\s*\(?\s*['"]([^'"]+)['"]/g)) {
      if (from!.startsWith('.')) visit(resolve(dirname(file), from!));
      else if (!from!.startsWith('node:')) foreign.add(from!);
    }
  };
  visit(join(installed, entry));
  const files = [...seen].map((file) => relative(join(installed, 'dist'), file));
  const folders = new Set(files.map((file) => file.split('/')[0]!));
  return { files, folders: [...folders].sort(), foreign: [...foreign].sort() };
}

test('the client library imports Node and itself alone; what needs more is an entry of its own', () => {
  const { exports } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
    exports: Record<string, { readonly default?: string }>;
  };
  const closures = Object.entries(exports)
    .filter(([name]) => name !== './package.json')
    .map(([name, { default: file }]) => [name, closureOf(file!)] as const);
  const foreign = closures.filter(([, closure]) => closure.foreign.length > 0);
  assert.deepEqual(
    foreign.map(([name, closure]) => [name, closure.foreign]),
    [['./workload-api', ['@bufbuild/protobuf', '@bufbuild/protobuf/wkt']]],
  );
  const reached = new Set(closures.flatMap(([, { folders }]) => folders));
  assert.deepEqual([...reached].sort(), [
    'base',
    'der',
    'grpc',
    'http',
    'jwt',
    'keys',
    'sdk',
    'spiffe-id',
    'wire',
    'x509',
  ]);
  const core = closures.find(([name]) => name === '.')![1];
  assert.ok(!core.folders.includes('grpc') && !core.folders.includes('jwt'));
  // Platforms and modules are asked by who imports what asks them.
  for (const file of ['ask', 'certificate', 'token', 'tpm']) {
    assert.ok(!core.files.includes(`sdk/evidence/${file}.js`), file);
  }
});

const USER = `
import type { IncomingMessage } from 'node:http';
import { createServer } from 'node:https';
import { connect, createVerifier, type EvidenceSource, type Identity, isWritError, type PeerRule, peerOf, WritError } from 'writ';
import { tokenEvidence, tpmEvidence } from 'writ/evidence';
import { grpcChannelCredentials, grpcGuard, grpcServerCredentials } from 'writ/grpc';
import { type JwtDecision, jwtSvidsOf, jwtValidator } from 'writ/jwt';
import { expressPeer, fastifyPeer, honoPeer, peerIn } from 'writ/middleware';
import { undiciDispatcher } from 'writ/undici';
import { fromWorkloadApi, type WorkloadIdentity } from 'writ/workload-api';
import * as grpc from '@grpc/grpc-js';
import { Hono } from 'hono';
import { Agent, request } from 'undici';
import { WebSocket } from 'ws';
import type { TLSSocket } from 'node:tls';

export async function run(token: string | undefined): Promise<void> {
  const identity: Identity = await connect({ token, store: '/var/lib/planner' });
  identity.on('renewed', (credential) => console.log(credential.serial, credential.key.asymmetricKeyType));
  identity.on('ended', (error) => console.error(isWritError(error, 'revoked'), error.message));
  const rule: PeerRule = ['service/db/*', 'service/cache/*'];
  const fetch = identity.fetch({ allow: rule });
  const answer: Response = await fetch('https://localhost:8443', { method: 'POST', body: 'x' });
  const server = createServer(identity.serverOptions(), (request, response) => {
    const peer = peerOf(request.socket as TLSSocket);
    response.end(peer?.segments[1] ?? 'nobody');
  });
  const release: () => void = identity.protect(server, { allow: (id) => id.trustDomain === identity.trustDomain });
  release();
  // @ts-expect-error: a rule answers with a boolean, not with a promise of one
  identity.protect(server, { allow: async () => true });
  // @ts-expect-error: the codes are a closed list
  isWritError(new WritError('denied', 'x'), 'no such code');
  console.log(answer.status, identity.spiffeId);
  await identity.stop('task_completed');
  const source: EvidenceSource = token === undefined ? tpmEvidence({ attestor: 'x' }) : tokenEvidence({ attestor: 'x', token });
  (await connect({ evidence: { source, server: 'https://localhost:8443', root: 'sha256:x' } })).close();
  const own: WorkloadIdentity = await fromWorkloadApi({ hint: 'main' });
  const verifier = createVerifier({ identity: own, mode: 'strict', server: 'https://localhost:8443' });
  const dispatcher: Agent = undiciDispatcher(own, { Agent, allow: rule, verifier });
  await request('https://localhost:8443', { dispatcher });
  const credentials: grpc.ChannelCredentials = grpcChannelCredentials(grpc, own, { allow: rule });
  const guarded = new grpc.Server({ interceptors: [grpcGuard(grpc, verifier, { allow: rule })] });
  guarded.bindAsync('localhost:0', grpcServerCredentials(grpc, own), () => new grpc.Client('localhost:1', credentials));
  new WebSocket('wss://localhost:8443', own.clientOptions({ allow: rule }));
  new Hono().use(honoPeer(verifier)).get('/', (context) => context.text(peerIn(context)?.uri ?? ''));
  createServer(own.serverOptions(), (asked, response) => expressPeer(verifier)(asked, response, () => response.end()));
  const hook: (asked: { raw: IncomingMessage }, reply: never) => Promise<unknown> = fastifyPeer(verifier, { allow: rule });
  const decision: JwtDecision = await jwtValidator({ identity, audience: 'x', verifier })((await jwtSvidsOf(identity)('x')).token);
  console.log((await own.fetchJwtSvid('x')).token, hook.length, decision.allowed);
}
`;

test('its declarations compile for outsiders, under both ways of resolution', () => {
  writeFileSync(join(app, 'user.ts'), USER);
  const compiler = join(ROOT, 'node_modules/typescript/bin/tsc');
  const strict = [
    '--strict',
    '--exactOptionalPropertyTypes',
    '--noUncheckedIndexedAccess',
    '--noEmit',
    '--types',
    'node',
  ];
  for (const [module, resolution] of [
    ['nodenext', 'nodenext'],
    ['esnext', 'bundler'],
  ] as const) {
    const how = ['--module', module, '--moduleResolution', resolution, '--target', 'es2022', '--skipLibCheck', 'false'];
    const { status, stdout } = spawnSync(process.execPath, [compiler, ...strict, ...how, 'user.ts'], {
      cwd: app,
      encoding: 'utf8',
    });
    // What other people's declarations say of each other is not ours to mend.
    const ours = stdout.split('\n').filter((line) => line.startsWith('user.ts') || line.includes('node_modules/writ/'));
    assert.deepEqual(ours, []);
    assert.ok(status === 0 || !stdout.includes('writ'), stdout);
  }
});

test(`every entry loads on Node ${OLD === undefined ? 26 : 20}`, () => {
  const names = ['writ', 'writ/grpc', 'writ/jwt', 'writ/middleware', 'writ/undici', 'writ/workload-api'];
  const text = `${names.map((name) => `await import('${name}');`).join('\n')}
const { fromWorkloadApi } = await import('writ/workload-api');
const code = await fromWorkloadApi({ socket: '/nowhere/api.sock', timeout: 100 }).catch((error) => error.code);
process.stdout.write(code);`;
  const { stdout, stderr } = spawnSync(NODE, ['--input-type=module', '-e', text], {
    cwd: app,
    encoding: 'utf8',
    env: environment,
  });
  assert.equal(stdout, 'unavailable', stderr);
});

const PROGRAM = `
import { once } from 'node:events';
import { createServer } from 'node:https';
import { connect, isWritError, peerOf } from 'writ';

const [token, other] = process.argv.slice(2);
const [a, b] = [await connect({ token, store: 'kept' }), await connect({ token: other })];
const server = createServer(b.serverOptions(), (request, response) => response.end('hello ' + peerOf(request.socket).uri));
b.protect(server, { allow: 'agent/planner/*' });
await once(server.listen(0, '127.0.0.1'), 'listening');
const url = 'https://127.0.0.1:' + server.address().port;
const fetch = a.fetch({ allow: 'agent/planner/*' });
const first = await (await fetch(url)).text();
await a.renew();
await b.renew();
const second = await (await fetch(url, { method: 'POST', body: 'x' })).text();
const refused = await a.fetch({ allow: 'service/db/*' })(url).catch((error) => isWritError(error, 'denied'));
await a.stop();
const revoked = await connect({ store: 'kept' }).catch((error) => isWritError(error, 'bad_token'));
console.log(JSON.stringify({ node: process.versions.node, id: a.spiffeId, first, second, refused, revoked }));
server.close();
server.closeAllConnections();
b.close();
`;

test(`an installed package runs the authority and its clients on Node ${OLD === undefined ? 26 : 20}`, {
  timeout: 60_000,
}, async () => {
  const launcher = join(installed, 'bin/writ.js');
  const writ = (...argv: string[]): string => {
    const { status, stdout, stderr } = spawnSync(NODE, [launcher, ...argv], {
      cwd: app,
      encoding: 'utf8',
      env: environment,
    });
    assert.equal(status, 0, `writ ${argv.join(' ')}: ${stderr}`);
    return stdout;
  };
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };
  assert.equal(writ('--version'), `${version}\n`);
  const ports = ['--listen', '127.0.0.1:0', '--listen-public', '127.0.0.1:0', '--listen-plain', '127.0.0.1:0'];
  const server = spawn(NODE, [launcher, 'start', '--json', ...ports], {
    cwd: app,
    env: environment,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    const [line] = (await Promise.race([once(server.stdout, 'data'), once(server, 'exit')])) as [unknown];
    assert.match(String(line), /"trust_domain":"writ\.internal"/);
    writ('agent', 'register', 'planner', '--team', 'tests', '--sponsor', 'ada@example.com', '--purpose', 'tests');
    const tokens = [writ('token', 'create', 'planner'), writ('token', 'create', 'planner')].map((text) => text.trim());
    writeFileSync(join(app, 'program.js'), PROGRAM);
    const ran = spawn(NODE, ['program.js', ...tokens], {
      cwd: app,
      env: environment,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const ended = once(ran, 'exit');
    let said = '';
    for await (const chunk of ran.stdout) said += String(chunk);
    assert.deepEqual(await ended, [0, null]);
    const { node, id, ...rest } = JSON.parse(said) as Record<string, unknown>;
    assert.equal(node, spawnSync(NODE, ['-p', 'process.versions.node'], { encoding: 'utf8' }).stdout.trim());
    assert.deepEqual(rest, { first: `hello ${id}`, second: `hello ${id}`, refused: true, revoked: true });
  } finally {
    server.kill('SIGTERM');
    await once(server, 'exit');
  }
});
