/** The programs of `docs/SDK.md`, run as they stand against a server, a daemon and the libraries that they name. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash, generateKeyPairSync, sign, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { after, test } from 'node:test';
import { Daemon } from '../../src/agent/daemon.ts';
import { connect } from '../../src/sdk/enrolment/connect.ts';
import { testServer } from '../server.ts';
import { frameworks, pathOf, skipOf } from './tools.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const libraries = frameworks();
const server = await testServer();
const closing: (() => unknown)[] = [];
after(async () => {
  for (const close of closing.reverse()) await close();
});

/** The programs by name. */
const programs = new Map(
  [
    ...readFileSync(join(ROOT, 'docs/SDK.md'), 'utf8').matchAll(
      /^```js\n\/\/ ([a-z-]+\.mjs)(?:.*)\n((?:.|\n)*?)^```$/gm,
    ),
  ].map(([, name, text]) => [name!, text!] as const),
);

/** Where they lie: beside what they import. `writ` is the sources, by what `package.json` exports. */
const folder = 'missing' in libraries ? server.scratch : join(pathOf(libraries), 'programs');
mkdirSync(folder, { recursive: true });
for (const [name, text] of programs) writeFileSync(join(folder, name), text);
const { exports } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
  exports: Record<string, { default: string }>;
};
const entries = Object.entries(exports).flatMap(([name, { default: file }]) =>
  file === undefined ? [] : [[`writ${name.slice(1)}`, file.replace('./dist/', './src/').replace(/\.js$/, '.ts')]],
);
const hooks = join(folder, 'hooks.mjs');
writeFileSync(
  hooks,
  `import { registerHooks } from 'node:module';
const own = new Map(${JSON.stringify(entries.map(([name, file]) => [name, new URL(file!, `file://${ROOT}/`).href]))});
registerHooks({
  resolve(name, context, next) {
    const url = own.get(name);
    if (url !== undefined) return { url, shortCircuit: true };
    try {
      return next(name, context);
    } catch (error) {
      return next(name, { ...context, parentURL: 'file://${ROOT}/package.json' });
    }
  },
});
`,
);

const tokenFiles = new Map<string, string>();
async function tokenFile(name: string, kind: 'agent' | 'service'): Promise<string> {
  const known = tokenFiles.get(name);
  if (known !== undefined) return known;
  await server.token(name, kind);
  const { token } = await server.json<{ token: string }>('token', 'create', name, '--uses', '50');
  const file = join(server.scratch, `token-${name}`);
  writeFileSync(file, token, { mode: 0o600 });
  tokenFiles.set(name, file);
  return file;
}

function start(
  name: string,
  environment: Record<string, string>,
): { child: ChildProcess; said: string[]; ended: Promise<number> } {
  const child = spawn(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', '--import', hooks, join(folder, name)],
    {
      env: { ...process.env, NODE_TEST_CONTEXT: undefined, ...environment },
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  closing.push(() => child.kill('SIGKILL'));
  const said: string[] = [];
  createInterface({ input: child.stdout! }).on('line', (line) => said.push(line));
  return { child, said, ended: once(child, 'close').then(([code]) => code as number) };
}

/** Runs a program to its end; gives its lines. */
async function run(name: string, environment: Record<string, string> = {}, as = 'planner'): Promise<string[]> {
  const { said, ended } = start(name, { WRIT_TOKEN_FILE: await tokenFile(as, 'agent'), ...environment });
  assert.equal(await ended, 0, `${name}: ${said.join('\n')}`);
  return said;
}

async function freePort(): Promise<number> {
  const probe = createServer();
  await once(probe.listen(0, '127.0.0.1'), 'listening');
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, 'close');
  return port;
}

/** Runs a program that serves; gives its address when it says that it is ready. */
async function serve(name: string): Promise<string> {
  const port = await freePort();
  const { child, said } = start(name, { WRIT_TOKEN_FILE: await tokenFile('bookings', 'service'), PORT: String(port) });
  while (!said.includes('ready')) {
    assert.equal(child.exitCode, null, `${name}: ${said.join('\n')}`);
    await new Promise((then) => setTimeout(then, 20));
  }
  return `https://localhost:${port}`;
}

const BOOKED = /^booked for spiffe:\/\/writ\.internal\/agent\/planner\/[0-9a-z]{26}$/;

const pairs: readonly (readonly [string, readonly string[], boolean])[] = [
  ['bookings.mjs', ['call.mjs', 'undici.mjs'], false],
  ['express.mjs', ['call.mjs'], true],
  ['fastify.mjs', ['call.mjs'], true],
  ['hono.mjs', ['call.mjs'], false],
  ['ws-server.mjs', ['ws-client.mjs'], false],
  ['grpc-server.mjs', ['grpc-client.mjs'], false],
  ['mcp-server.mjs', ['mcp-client.mjs'], true],
];

for (const [serving, calling, foreign] of pairs) {
  test(`${serving}: ${calling.join(', ')}`, { skip: foreign && skipOf(libraries) }, async () => {
    const url = await serve(serving);
    for (const name of calling) {
      const said = await run(name, { BOOKINGS_URL: url });
      assert.equal(said.length, 1, said.join('\n'));
      assert.match(said[0]!, BOOKED, name);
    }
    if (calling[0] !== 'call.mjs') return;
    // Somebody else is refused by the very same program.
    const refused = start('call.mjs', { WRIT_TOKEN_FILE: await tokenFile('reader', 'agent'), BOOKINGS_URL: url });
    await refused.ended;
    assert.ok(!refused.said.some((line) => BOOKED.test(line)), refused.said.join('\n'));
  });
}

test('evidence.mjs', async () => {
  const key = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const jwks = { keys: [{ ...key.publicKey.export({ format: 'jwk' }), kid: 'k', alg: 'ES256', use: 'sig' }] };
  const at = Math.floor(Date.now() / 1000);
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const claims = { iss: 'https://ci.example.com', aud: 'writ', sub: 'job', iat: at, exp: at + 300, jti: '1' };
  const signed = `${part({ alg: 'ES256', typ: 'JWT', kid: 'k' })}.${part(claims)}`;
  const signature = sign('sha256', Buffer.from(signed), { key: key.privateKey, dsaEncoding: 'ieee-p1363' });
  const file = join(server.scratch, 'web-identity');
  writeFileSync(file, `${signed}.${signature.toString('base64url')}`);
  await tokenFile('planner', 'agent');
  const settings = [`issuer=${claims.iss}`, 'audience=writ', `jwks=${JSON.stringify(jwks)}`];
  await server.json('attestor', 'add', 'ci', '--kind', 'oidc', ...settings.flatMap((one) => ['--set', one]));
  await server.json('entry', 'create', 'planner', '--attestor', 'ci', '--match', 'oidc:sub=job');
  const node = await connect({ token: await server.token('box', 'service') });
  const root = createHash('sha256').update(new X509Certificate(node.roots[0]!).raw).digest('hex');
  node.close();
  const [id] = await run('evidence.mjs', {
    ...{ WRIT_SERVER: server.api, WRIT_ROOT: `sha256:${root}`, AWS_WEB_IDENTITY_TOKEN_FILE: file },
  });
  assert.match(id!, /^spiffe:\/\/writ\.internal\/agent\/planner\//);
});

test('workload.mjs', async () => {
  const node = await connect({ token: await server.token('box', 'service') });
  closing.push(() => node.close());
  await tokenFile('planner', 'agent');
  await server.json('entry', 'create', 'planner', '--node', 'box', '--match', `unix:uid=${process.geteuid!()}`);
  const socket = join(server.scratch, 'api', 'api.sock');
  const daemon = await Daemon.start({ identity: node, socket, admin: join(server.scratch, 'admin', 'admin.sock') });
  closing.push(() => daemon.close());
  const said = await run('workload.mjs', {
    ...{ SPIFFE_ENDPOINT_SOCKET: `unix://${socket}`, BOOKINGS_URL: await serve('bookings.mjs') },
  });
  assert.match(said[0]!, BOOKED);
  assert.match(said.join(' '), /valid: true/);
});

test('crew.mjs', async () => {
  await tokenFile('planner', 'agent');
  const token = await tokenFile('crew', 'service');
  await server.json('entry', 'create', 'planner', '--node', 'crew', '--match', 'parent:reference=trip-*');
  const [said] = await run('crew.mjs', { WRIT_TOKEN_FILE: token, BOOKINGS_URL: await serve('bookings.mjs') });
  assert.match(said!, BOOKED);
});

test('jwt.mjs', async () => {
  assert.match((await run('jwt.mjs'))[0]!, /^true spiffe:\/\/writ\.internal\/agent\/planner\//);
});

test('every program of the page is run here', () => {
  const ran = [
    ...pairs.flatMap(([serving, calling]) => [serving, ...calling]),
    'evidence.mjs',
    'workload.mjs',
    'crew.mjs',
    'jwt.mjs',
  ];
  assert.deepEqual([...programs.keys()].sort(), [...new Set(ran)].sort());
});
