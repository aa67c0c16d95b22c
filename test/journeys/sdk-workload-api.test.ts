/** Programs that take their identity from the real daemon: rotation, holds, a daemon that is started again, a stop. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { type EventEmitter, once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { Agent, request } from 'undici';
import { Daemon } from '../../src/agent/daemon.ts';
import { isWritError } from '../../src/base/error.ts';
import { connect } from '../../src/sdk/enrolment/connect.ts';
import { undiciDispatcher } from '../../src/sdk/frameworks/undici.ts';
import { jwtValidator } from '../../src/sdk/jwt-svid.ts';
import { peerOf } from '../../src/sdk/peer/peer.ts';
import { createVerifier } from '../../src/sdk/verifier/verifier.ts';
import { fromWorkloadApi } from '../../src/sdk/workload-api/identity.ts';
import { until } from '../feed.ts';
import { testServer } from '../server.ts';

const server = await testServer();
const closing: (() => unknown)[] = [];
after(async () => {
  for (const close of closing.reverse()) await close();
});
for (const name of ['planner', 'reader']) await server.token(name);
const node = await connect({ token: await server.token('box', 'service') });
closing.push(() => node.close());
await server.json(
  ...(['entry', 'create', 'planner', '--node', 'box', '--match', `unix:uid=${process.geteuid!()}`] as const),
  ...(['--hint', 'main'] as const),
);
const socket = join(server.scratch, 'api', 'api.sock');
let daemon: Daemon;
const start = async (): Promise<void> => {
  daemon = await Daemon.start({ identity: node, socket, admin: join(server.scratch, 'admin', 'admin.sock') });
};
await start();
closing.push(() => daemon.close());
process.env['SPIFFE_ENDPOINT_SOCKET'] = `unix://${socket}`;
const instanceOf = (id: string): string => id.split('/').at(-1)!;

const db = await connect({ token: await server.token('db', 'service') });
const verifier = createVerifier({ identity: db, mode: 'strict' });
closing.push(
  () => db.close(),
  () => verifier.close(),
);
await verifier.ready(AbortSignal.timeout(10_000));
const listener = createServer(
  verifier.serverOptions(),
  verifier.guard((request, response) => {
    if (request.url === '/stream') response.write('begun');
    else response.end(peerOf(request.socket as never)?.uri);
  }),
);
verifier.protect(listener, { allow: 'agent/planner/*' });
await once(listener.listen(0, '127.0.0.1'), 'listening');
closing.push(() => {
  listener.close();
  listener.closeAllConnections();
});
const url = `https://127.0.0.1:${(listener.address() as AddressInfo).port}`;
const allow = 'service/db/*';

test('one call gives an identity, tokens, and what others say of theirs', async () => {
  const identity = await fromWorkloadApi();
  closing.push(() => identity.close());
  assert.match(identity.spiffeId, /^spiffe:\/\/writ\.internal\/agent\/planner\/[0-9a-z]{26}$/);
  assert.equal(await (await identity.fetch({ allow })(url)).text(), identity.spiffeId);
  const svid = await identity.fetchJwtSvid('reports');
  assert.equal(svid.spiffeId, identity.spiffeId);
  assert.ok(svid.expiresAt > Date.now() && svid.expiresAt < Date.now() + 3_600_000);
  const checked = await identity.validateJwtSvid(svid.token, 'reports');
  assert.ok(checked.valid && checked.id.uri === identity.spiffeId && checked.claims['sub'] === identity.spiffeId);
  for (const [token, audience] of [
    [svid.token, 'others'],
    [`${svid.token.slice(0, -6)}AAAAAA`, 'reports'],
    ['nothing', 'reports'],
  ] as const) {
    const refused = await identity.validateJwtSvid(token, audience);
    assert.ok(!refused.valid && refused.why !== '');
  }
  // Without the daemon, by whoever receives it.
  const decision = await jwtValidator({ identity: db, audience: 'reports', verifier })(svid.token);
  assert.ok(decision.allowed && decision.id.uri === identity.spiffeId);
});

test('through a rotation nobody is interrupted; held it shows nothing, released it goes on', async () => {
  const identity = await fromWorkloadApi({ hint: 'main' });
  closing.push(() => identity.close());
  const call = identity.fetch({ allow });
  const before = identity.credential;
  const renewed = once(identity, 'renewed');
  const child = [...daemon.workloads.children].find(({ spiffeId }) => spiffeId === identity.spiffeId)!;
  const answers = Promise.all(Array.from({ length: 10 }, () => call(url).then((answer) => answer.status)));
  await child.renew();
  await renewed;
  assert.notEqual(identity.credential.serial, before.serial);
  assert.equal(identity.spiffeId, before.spiffeId);
  assert.deepEqual([...new Set(await answers)], [200]);
  assert.equal((await call(url)).status, 200);

  const ended = once(identity, 'ended');
  const hold = ['--cause', 'clone_detected', '--quarantine', '--yes'];
  const { id } = await server.json<{ id: string }>('stop', 'instance', instanceOf(identity.spiffeId), ...hold);
  await ended;
  assert.throws(
    () => identity.credential,
    (error) => isWritError(error, 'denied'),
  );
  await assert.rejects(call(url), (error) => isWritError(error, 'denied'));
  const again = once(identity, 'renewed');
  await server.json('release', id, '--here');
  await again;
  await until(() => verifier.fallen([`instance:${instanceOf(identity.spiffeId)}`]) === undefined);
  assert.equal((await call(url)).status, 200);
});

test('a verifier may rest on such an identity: it judges others, and itself no more than its own hold lasts', async () => {
  const identity = await fromWorkloadApi();
  closing.push(() => identity.close());
  assert.throws(
    () => createVerifier({ identity, mode: 'strict' }),
    (error) => isWritError(error, 'bad_config'),
  );
  const own = createVerifier({ identity, mode: 'strict', server: server.api, strictMs: 2000 });
  closing.push(() => own.close());
  await own.ready(AbortSignal.timeout(10_000));
  const site = createServer(
    own.serverOptions(),
    own.guard((_, response) => response.end('yes'), { allow: 'service/db/*' }),
  );
  own.protect(site, { allow: 'service/db/*' });
  await once(site.listen(0, '127.0.0.1'), 'listening');
  closing.push(() => {
    site.close();
    site.closeAllConnections();
  });
  const address = `https://127.0.0.1:${(site.address() as AddressInfo).port}`;
  const call = db.fetch({ allow: 'agent/planner/*' });
  assert.equal(await (await call(address)).text(), 'yes');
  const hold = ['--cause', 'clone_detected', '--quarantine', '--yes'];
  const { id } = await server.json<{ id: string }>('stop', 'instance', instanceOf(identity.spiffeId), ...hold);
  await until(() => !own.well, 20_000);
  await assert.rejects(db.fetch({ allow: 'agent/planner/*' })(address));
  await server.json('release', id, '--here');
  await own.ready(AbortSignal.timeout(20_000));
  assert.equal(await (await db.fetch({ allow: 'agent/planner/*' })(address)).text(), 'yes');
});

test('a dispatcher of undici with a verifier lets go of a server that falls', async () => {
  const bank = await connect({ token: await server.token('bank', 'service') });
  const site = createServer(bank.serverOptions(), (_, response) => response.end('yes'));
  bank.protect(site, { allow: () => true });
  await once(site.listen(0, '127.0.0.1'), 'listening');
  closing.push(() => {
    bank.close();
    site.close();
    site.closeAllConnections();
  });
  const address = `https://127.0.0.1:${(site.address() as AddressInfo).port}`;
  const dispatcher = undiciDispatcher(db, { Agent, allow: 'service/bank/*', verifier });
  closing.push(() => dispatcher.destroy());
  const held = once(site, 'secureConnection').then(([socket]) => once(socket as EventEmitter, 'close'));
  assert.equal(await (await request(address, { dispatcher })).body.text(), 'yes');
  await server.json('instance', 'stop', instanceOf(bank.spiffeId), '--cause', 'key_theft', '--yes');
  await held;
  await assert.rejects(request(address, { dispatcher }), (error) => isWritError(error, 'revoked'));
});

test('a daemon that is started again lets its callers in anew; until then what they have goes on', async () => {
  const identity = await fromWorkloadApi();
  closing.push(() => identity.close());
  const call = identity.fetch({ allow });
  const first = identity.spiffeId;
  const lost = once(identity, 'failed');
  await daemon.close();
  await lost;
  assert.equal(identity.spiffeId, first);
  await start();
  await until(() => identity.spiffeId !== first, 20_000);
  assert.equal(await (await call(url)).text(), identity.spiffeId);
});

test('a program that follows ends when its work is done, and one that is stopped is cut in mid-stream', async () => {
  const file = join(server.scratch, 'program.ts');
  writeFileSync(
    file,
    `import { fromWorkloadApi } from '${join(import.meta.dirname, '../../src/sdk/workload-api/identity.ts')}';
const identity = await fromWorkloadApi();
const call = identity.fetch({ allow: '${allow}' });
console.log(identity.spiffeId);
if (process.argv[2] === 'stay') {
  identity.on('ended', () => console.log('ended'));
  const answer = await call('${url}/stream');
  try {
    for await (const piece of answer.body) console.log(String(Buffer.from(piece)));
  } catch {
    console.log('cut');
  }
  await new Promise((then) => setTimeout(then, 1000));
}
`,
  );
  const run = (how: string) => {
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', file, how], {
      env: { ...process.env, NODE_TEST_CONTEXT: undefined },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    closing.push(() => child.kill('SIGKILL'));
    let said = '';
    child.stdout.on('data', (chunk: Buffer) => (said += chunk));
    return { said: () => said.trim().split('\n'), ended: once(child, 'close').then(([code]) => code as number) };
  };
  const brief = run('go');
  assert.equal(await brief.ended, 0);
  assert.match(brief.said()[0]!, /\/agent\/planner\//);
  const staying = run('stay');
  await until(() => staying.said().includes('begun'), 20_000);
  const [id] = staying.said();
  await server.json('instance', 'stop', instanceOf(id!), '--cause', 'key_theft', '--yes');
  assert.equal(await staying.ended, 0);
  assert.deepEqual([...staying.said()].slice(1).sort(), ['begun', 'cut', 'ended']);
});
