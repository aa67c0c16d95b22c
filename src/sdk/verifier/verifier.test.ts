/** Verifiers against a running authority, over real TLS: what is stopped, what is cut, what is missed and caught up on. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import * as https from 'node:https';
import type { AddressInfo } from 'node:net';
import { after, describe, it } from 'node:test';
import * as tls from 'node:tls';
import { type Connected, connected, effectOf, reasonOf, until } from '../../../test/feed.ts';
import { type TestServer, testServer } from '../../../test/server.ts';
import { isWritError } from '../../base/error.ts';
import { connect } from '../enrolment/connect.ts';
import { feedWire } from '../feed/testdata/wire.ts';
import type { Identity } from '../identity/identity.ts';
import { createVerifier, type Verifier } from './verifier.ts';

let server: TestServer = await testServer();
const gateway: Identity = await connect({ token: await server.token('gateway', 'service') });
const closing: (() => void)[] = [() => gateway.close()];
after(() => {
  for (const close of closing) close();
});

/** A verifier that is well. */
async function verifier(mode: 'strict' | 'available', options: object = {}): Promise<Verifier> {
  const made = createVerifier({ identity: gateway, mode, ...options });
  closing.push(() => made.close());
  await made.ready(AbortSignal.timeout(10_000));
  return made;
}

async function instance(name = 'planner'): Promise<Identity> {
  const made = await connect({ token: await server.token(name) });
  closing.push(() => made.close());
  return made;
}

/** An HTTPS service of the gateway's that a verifier guards, and how to ask it over one kept connection. */
async function service(made: Verifier, protect = true): Promise<number> {
  const listener = https.createServer(
    made.serverOptions(),
    made.guard((_, answer) => answer.end('yes'), { allow: 'agent/planner/*' }),
  );
  if (protect) made.protect(listener, { allow: 'agent/planner/*' });
  listener.on('tlsClientError', () => {});
  await once(listener.listen(0, '127.0.0.1'), 'listening');
  closing.push(() => {
    listener.close();
    listener.closeAllConnections();
  });
  return (listener.address() as AddressInfo).port;
}

/** The status of one request, or the code of what went wrong. */
function ask(port: number, agent: https.Agent): Promise<number | string> {
  return new Promise((resolve) => {
    https
      .get({ port, host: '127.0.0.1', agent }, (answer) => answer.resume().on('end', () => resolve(answer.statusCode!)))
      .on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
  });
}

function agentOf(identity: Identity): https.Agent {
  const agent = new https.Agent({ ...identity.clientOptions({ allow: 'service/gateway/*' }), keepAlive: true });
  closing.push(() => agent.destroy());
  return agent;
}

/** A connection of a client to the gateway. */
async function socketPair(client: Identity): Promise<Connected> {
  const pair = await connected(client, gateway);
  closing.push(pair.close);
  return pair;
}

describe('what is stopped', () => {
  it('a revoked certificate is refused within a second, and its live connection is closed', async () => {
    const made = await verifier('strict', { point: 'gateway-1' });
    const planner = await instance();
    const other = await instance();
    const port = await service(made);
    const [agent, otherAgent] = [agentOf(planner), agentOf(other)];
    assert.deepEqual([await ask(port, agent), await ask(port, otherAgent)], [200, 200]);
    const { near, far } = await socketPair(planner);
    made.track(near);
    const closed = once(far, 'close');
    const { serial } = planner.credential;
    await server.json('cert', 'revoke', serial, '--cause', 'key_theft');
    const begun = performance.now();
    await closed;
    assert.ok(performance.now() - begun < 1000, `${performance.now() - begun} ms`);
    assert.equal(reasonOf(made.authorize(near)), 'stopped');
    assert.notEqual(await ask(port, agent), 200);
    assert.notEqual(await ask(port, agentOf(planner)), 200);
    assert.equal(await ask(port, otherAgent), 200);
    // The ledger says what became of it.
    await until(() => effectOf(server, serial) !== undefined, 8000);
    const { points, acknowledged, missing, accepted_after, max_ms } = effectOf(server, serial)!;
    assert.deepEqual(
      { points, acknowledged, missing, accepted_after },
      { points: 1, acknowledged: 1, missing: [], accepted_after: 0 },
    );
    assert.ok(max_ms < 1000, `${max_ms} ms`);
  });

  it('so are all certificates of an instance, and of an agent', async () => {
    const made = await verifier('available');
    const [first, second, third] = [await instance('worker'), await instance('worker'), await instance('watcher')];
    const [one, two, three] = [await socketPair(first), await socketPair(second), await socketPair(third)];
    for (const { near } of [one, two, three]) assert.equal(reasonOf(made.authorize(near)), 'allowed');
    await first.stop();
    await until(() => reasonOf(made.authorize(one.near)) === 'stopped');
    assert.equal(reasonOf(made.authorize(two.near)), 'allowed');
    await server.json('agent', 'retire', 'worker', '--cause', 'task_completed', '--yes');
    await until(() => reasonOf(made.authorize(two.near)) === 'stopped');
    assert.equal(reasonOf(made.authorize(three.near)), 'allowed');
  });

  it('a quarantine holds at once', async () => {
    const made = await verifier('strict');
    const planner = await instance();
    const { near, far } = await socketPair(planner);
    made.track(near);
    const closed = once(far, 'close');
    const id = planner.spiffeId.split('/').at(-1)!;
    await server.json('stop', 'instance', id, '--cause', 'clone_detected', '--quarantine');
    await closed;
    assert.equal(reasonOf(made.authorize(near)), 'held');
  });

  it('whoever comes later learns it all before it is well', async () => {
    const planner = await instance();
    const { near } = await socketPair(planner);
    await planner.stop('key_theft');
    const made = await verifier('available');
    assert.equal(reasonOf(made.authorize(near)), 'stopped');
  });

  it('a client trusts no server that has fallen, and lets go of one that falls', async () => {
    const database = await connect({ token: await server.token('database', 'service') });
    closing.push(() => database.close());
    const listener = https.createServer(database.serverOptions(), (_, answer) => answer.end('rows'));
    await once(listener.listen(0, '127.0.0.1'), 'listening');
    closing.push(() => {
      listener.close();
      listener.closeAllConnections();
    });
    const url = `https://127.0.0.1:${(listener.address() as AddressInfo).port}/`;
    const made = await verifier('strict');
    const fetch = made.fetch({ allow: 'service/database/*' });
    assert.equal(await (await fetch(url)).text(), 'rows');
    let open = 1;
    listener.on('connection', () => open++);
    const { serial } = database.credential;
    const cut = new Promise<void>((resolve) =>
      made.on('entry', ({ subjects }) => subjects.includes(`serial:${serial}`) && resolve()),
    );
    await server.json('cert', 'revoke', serial, '--cause', 'key_theft');
    await cut;
    await assert.rejects(fetch(url), (error) => isWritError(error, 'revoked'));
    assert.equal(open, 2);
  });

  it('a resumed session of a revoked client is refused', async () => {
    const made = await verifier('strict');
    const planner = await instance();
    // Not what `serverOptions` gives: a server that hands out tickets all the same.
    const { secureOptions: _, ...options } = gateway.serverOptions();
    const loose = tls.createServer(options);
    const decisions: string[] = [];
    loose.on('secureConnection', (socket) => {
      socket.on('error', () => {});
      decisions.push(`${socket.isSessionReused() ? 'resumed' : 'new'} ${reasonOf(made.authorize(socket))}`);
      socket.end('.');
    });
    await once(loose.listen(0, '127.0.0.1'), 'listening');
    closing.push(() => loose.close());
    const { port } = loose.address() as AddressInfo;
    const visit = async (session?: Buffer): Promise<Buffer | undefined> => {
      const { secureOptions: __, ...client } = planner.clientOptions({ allow: 'service/gateway/*' });
      const socket = tls.connect({ port, host: '127.0.0.1', ...client, ...(session && { session }) });
      let kept: Buffer | undefined;
      socket.on('session', (given) => {
        kept = given;
      });
      socket.on('error', () => {});
      socket.resume();
      await once(socket, 'close');
      return kept;
    };
    const session = await visit();
    assert.ok(session !== undefined);
    await visit(session);
    await server.json('cert', 'revoke', planner.credential.serial, '--cause', 'key_theft');
    const { near } = await socketPair(planner);
    await until(() => reasonOf(made.authorize(near)) === 'stopped');
    await visit(session);
    assert.deepEqual(decisions, ['new allowed', 'resumed allowed', 'resumed stopped']);
    // A protected server takes none at all.
    const release = made.protect(loose, { allow: 'agent/planner/*' });
    const before = decisions.length;
    await visit(session);
    assert.equal(decisions.slice(before).includes('resumed allowed'), false);
    release();
  });
});

describe('when the feed is cut off', () => {
  it('strict refuses after its limit, available goes on; both learn what they missed before they are well', async () => {
    const wire = await feedWire(server.api);
    closing.push(wire.close);
    const options = { server: wire.server, strictMs: 1500 };
    const strict = await verifier('strict', options);
    const available = await verifier('available', { ...options, staleMs: 4000 });
    const planner = await instance();
    const { near } = await socketPair(planner);
    const port = await service(strict);
    const agent = agentOf(planner);
    assert.equal(await ask(port, agent), 200);
    const alarms: string[] = [];
    for (const [name, one] of Object.entries({ strict, available })) one.on('alarm', () => alarms.push(name));
    wire.cut();
    await until(() => reasonOf(strict.authorize(near)) === 'stale', 3000);
    assert.notEqual(await ask(port, agent), 200);
    assert.equal(reasonOf(available.authorize(near)), 'allowed');
    await until(() => alarms.length === 2);
    // What nobody here can know of.
    await server.json('cert', 'revoke', planner.credential.serial, '--cause', 'key_theft');
    assert.equal(reasonOf(available.authorize(near)), 'allowed');
    await until(() => reasonOf(available.authorize(near)) === 'stale', 5000);
    const seen: string[] = [];
    for (const one of [strict, available]) one.once('well', () => seen.push(reasonOf(one.authorize(near))));
    wire.mend(server.api);
    await until(() => seen.length === 2);
    assert.deepEqual(seen, ['stopped', 'stopped']);
  });

  it('nothing is allowed before the feed was read once', async () => {
    const wire = await feedWire(server.api);
    closing.push(wire.close);
    wire.cut();
    const { near } = await socketPair(await instance());
    for (const mode of ['strict', 'available'] as const) {
      const made = createVerifier({ identity: gateway, mode, server: wire.server });
      assert.equal(reasonOf(made.authorize(near)), 'stale');
      await assert.rejects(made.ready(AbortSignal.timeout(50)));
      made.close();
    }
  });

  it('a server that restarts is found again, and nothing is missed', async () => {
    const wire = await feedWire(server.api);
    closing.push(wire.close);
    const strict = await verifier('strict', { server: wire.server });
    const available = await verifier('available', { server: wire.server });
    const [planner, other] = [await instance(), await instance()];
    const [one, two] = [await socketPair(planner), await socketPair(other)];
    wire.cut();
    server = await server.restart();
    await server.json('cert', 'revoke', planner.credential.serial, '--cause', 'key_theft');
    wire.mend(server.api);
    for (const made of [strict, available]) {
      await until(() => reasonOf(made.authorize(one.near)) === 'stopped');
      await made.ready(AbortSignal.timeout(5000));
      assert.equal(reasonOf(made.authorize(two.near)), 'allowed');
    }
  });
});
