/** Middleware over real TLS: who is let through, who is refused and how, and that nobody names himself. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createSecureServer, connect as http2Connect } from 'node:http2';
import * as https from 'node:https';
import type { AddressInfo } from 'node:net';
import { after, test } from 'node:test';
import { getRequestListener } from '@hono/node-server';
import { Hono } from 'hono';
import { until } from '../../../test/feed.ts';
import { type TestServer, testServer } from '../../../test/server.ts';
import { connect } from '../enrolment/connect.ts';
import type { Identity } from '../identity/identity.ts';
import { createVerifier } from '../verifier/verifier.ts';
import { expressPeer, fastifyPeer, honoPeer, peerIn } from './middleware.ts';

const server: TestServer = await testServer();
const closing: (() => unknown)[] = [];
after(async () => {
  for (const close of closing.reverse()) await close();
});
const gateway = await connect({ token: await server.token('gateway', 'service') });
const verifier = createVerifier({ identity: gateway, mode: 'strict' });
closing.push(
  () => gateway.close(),
  () => verifier.close(),
);
await verifier.ready(AbortSignal.timeout(10_000));
const allow = 'agent/planner/*';

async function instance(name: string): Promise<Identity> {
  const identity = await connect({ token: await server.token(name) });
  closing.push(() => identity.close());
  return identity;
}

const [planner, reader] = [await instance('planner'), await instance('reader')];

/** Serves and gives what asks: the status and body of one request. */
async function serve(handler: Parameters<typeof https.createServer>[1]) {
  const listener = https.createServer(verifier.serverOptions(), handler);
  await once(listener.listen(0, '127.0.0.1'), 'listening');
  closing.push(() => {
    listener.close();
    listener.closeAllConnections();
  });
  const url = `https://127.0.0.1:${(listener.address() as AddressInfo).port}/`;
  return async (as: Identity): Promise<readonly [number, string]> => {
    const answer = await as.fetch({ allow: 'service/gateway/*' })(url, { headers: { 'x-peer': 'agent/boss/1' } });
    return [answer.status, await answer.text()];
  };
}

/** Of each framework, the smallest program: says who asks. */
const frameworks = {
  express: () => {
    const guard = expressPeer(verifier, { allow });
    return serve((request, response) => {
      guard(request, response, (error) => response.end(error === undefined ? peerIn(request)?.uri : 'wrong'));
    });
  },
  hono: () => {
    const app = new Hono();
    app.use(honoPeer(verifier, { allow }));
    app.get('/', (context) => context.text(peerIn(context)?.uri ?? 'nobody'));
    return serve(getRequestListener(app.fetch) as never);
  },
  fastify: () => {
    const hook = fastifyPeer(verifier, { allow });
    return serve((raw, response) => {
      const reply = {
        code: (status: number) => (response.statusCode = status),
        header: (name: string, value: string) => response.setHeader(name, value),
        send: (body: unknown) => response.end(JSON.stringify(body)),
      };
      void hook({ raw }, reply).then(() => {
        if (!response.writableEnded) response.end(peerIn({ raw })?.uri);
      });
    });
  },
};

for (const [name, start] of Object.entries(frameworks)) {
  test(`${name}: who is allowed is handed over, everybody else refused, at once when stopped`, async () => {
    const ask = await start();
    const victim = await instance('planner');
    assert.deepEqual(await ask(planner), [200, planner.spiffeId]);
    assert.deepEqual(await ask(victim), [200, victim.spiffeId]);
    assert.deepEqual(await ask(reader), [403, '{"refused":"not_allowed"}']);
    await server.json('cert', 'revoke', victim.credential.serial, '--cause', 'key_theft');
    const subject = `serial:${victim.credential.serial}`;
    await until(() => verifier.fallen([subject]) !== undefined);
    assert.deepEqual(await ask(victim), [403, '{"refused":"stopped"}']);
    assert.deepEqual(await ask(planner), [200, planner.spiffeId]);
  });
}

test('over HTTP/2, and while the feed is too old', async () => {
  const stale = { authorize: () => ({ allowed: false, reason: 'stale' }) as const };
  const guard = expressPeer(verifier, { allow });
  const listener = createSecureServer(verifier.serverOptions(), (request, response) => {
    const [asked, answer] = [request as never, response as never];
    if (request.url === '/stale') expressPeer(stale)(asked, answer, () => response.end('let through'));
    else guard(asked, answer, () => response.end(peerIn(request)?.uri ?? 'nobody'));
  });
  await once(listener.listen(0, '127.0.0.1'), 'listening');
  closing.push(() => listener.close());
  const ask = async (as: Identity, path: string): Promise<unknown[]> => {
    const { port } = listener.address() as AddressInfo;
    const options = as.clientOptions({ allow: 'service/gateway/*' });
    const session = http2Connect(`https://127.0.0.1:${port}`, options as never);
    const stream = session.request({ ':path': path });
    let text = '';
    stream.on('data', (chunk: Buffer) => (text += chunk));
    const [[headers]] = await Promise.all([once(stream, 'response'), once(stream, 'end')]);
    session.destroy();
    return [(headers as Record<string, unknown>)[':status'], text];
  };
  assert.deepEqual(await ask(planner, '/'), [200, planner.spiffeId]);
  assert.deepEqual(await ask(reader, '/'), [403, '{"refused":"not_allowed"}']);
  assert.deepEqual(await ask(planner, '/stale'), [503, '{"refused":"stale"}']);
});

test('nobody is named by what no middleware let through', () => {
  for (const request of [{ raw: {} }, { env: {} }, { env: undefined }, { socket: {} }]) {
    assert.equal(peerIn(request), undefined);
  }
});

test('Hono elsewhere than on Node refuses', async () => {
  const app = new Hono();
  app.use(honoPeer(verifier, { allow }));
  app.get('/', (context) => context.text('let through'));
  const answer = await app.request('/', {}, { incoming: undefined });
  assert.deepEqual([answer.status, await answer.json()], [403, { refused: 'no_identity' }]);
});
