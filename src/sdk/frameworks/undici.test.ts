/** undici, Node's own `fetch` and `WebSocket`, and `ws`, each with an identity. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { after, test } from 'node:test';
import type { TLSSocket } from 'node:tls';
import { Agent, request, WebSocket as UndiciWebSocket, fetch as undiciFetch } from 'undici';
import { WebSocket, WebSocketServer } from 'ws';
import { isWritError, WritError } from '../../base/error.ts';
import { Identity } from '../identity/identity.ts';
import { issuer } from '../identity/testdata/identities.ts';
import { peerOf } from '../peer/peer.ts';
import { undiciConnector, undiciDispatcher } from './undici.ts';

const made = issuer();
const planner = made.identity('agent/planner/1');
const service = made.identity('service/db/1');
const closing: (() => unknown)[] = [() => planner.close(), () => service.close()];
after(async () => {
  for (const close of closing.reverse()) await close();
});
const allow = 'service/db/*';

async function serve(handle: Parameters<typeof createServer>[1]): Promise<{ server: Server; url: string }> {
  const server = createServer(service.serverOptions(), handle);
  service.protect(server, { allow: 'agent/planner/*' });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  closing.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return { server, url: `https://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

/** What the server says of who asks: its SPIFFE ID and serial number. */
const who = (socket: unknown): string => {
  const peer = peerOf(socket as TLSSocket);
  return `${peer?.uri} ${(socket as TLSSocket).getPeerX509Certificate()?.serialNumber}`;
};

function dispatcherOf(identity: Identity, rule = allow): Agent {
  const made = undiciDispatcher(identity, { Agent, allow: rule });
  closing.push(() => made.destroy());
  return made;
}

test('fetch and request of undici, and the fetch of Node, show the identity', async () => {
  const { url } = await serve((asked, answer) => answer.end(who(asked.socket)));
  const dispatcher = dispatcherOf(planner);
  const [id] = (await (await undiciFetch(url, { dispatcher })).text()).split(' ');
  assert.equal(id, planner.spiffeId);
  const { statusCode, body } = await request(url, { dispatcher, method: 'POST', body: 'x' });
  assert.equal(statusCode, 200);
  assert.ok((await body.text()).startsWith(planner.spiffeId));
  const own = await fetch(url, { dispatcher } as unknown as RequestInit);
  assert.ok((await own.text()).startsWith(planner.spiffeId));
});

test('a server that is not allowed hears nothing', async () => {
  let asked = 0;
  const { url } = await serve((_, answer) => {
    asked += 1;
    answer.end();
  });
  const dispatcher = dispatcherOf(planner, 'service/bank/*');
  await assert.rejects(undiciFetch(url, { dispatcher }), (error: Error) => isWritError(error.cause, 'denied'));
  await assert.rejects(request(url, { dispatcher }), (error) => isWritError(error, 'denied'));
  await assert.rejects(request(url.replace('https', 'http'), { dispatcher }), (error) =>
    isWritError(error, 'bad_request'),
  );
  assert.equal(asked, 0);
  assert.throws(
    () => undiciConnector(planner, { allow: 'agent/planner' }),
    (error) => isWritError(error, 'bad_spiffe_id'),
  );
  // Of another authority, with the right name.
  const stranger = issuer().identity('service/db/1');
  closing.push(() => stranger.close());
  const impostor = createServer(stranger.serverOptions(), (_, answer) => answer.end());
  await once(impostor.listen(0, '127.0.0.1'), 'listening');
  closing.push(() => impostor.close());
  const { port } = impostor.address() as AddressInfo;
  await assert.rejects(request(`https://127.0.0.1:${port}`, { dispatcher: dispatcherOf(planner) }), /certificate/i);
});

test('after a renewal new calls show the new certificate, and one under way ends in peace', async () => {
  let release = (): void => {};
  const { url } = await serve((asked, answer) => {
    if (asked.url === '/slow') release = () => answer.end(who(asked.socket));
    else answer.end(who(asked.socket));
  });
  const identity = made.identity('agent/planner/2');
  closing.push(() => identity.close());
  const dispatcher = dispatcherOf(identity);
  const ask = async (path = ''): Promise<string> => (await undiciFetch(url + path, { dispatcher })).text();
  const first = await ask();
  assert.equal(await ask(), first);
  const slow = ask('/slow');
  while (release.toString() === '() => {}') await new Promise((then) => setTimeout(then, 5));
  await identity.renew();
  const second = await ask();
  assert.notEqual(second, first);
  release();
  assert.ok((await slow).startsWith(identity.spiffeId));
  assert.ok(dispatcher instanceof Agent);
  await dispatcher.close();
  await assert.rejects(ask());
});

test('with nothing to show nothing is sent', async () => {
  const { url } = await serve((_, answer) => answer.end('yes'));
  const refusing = new Identity(made.credential('agent/planner/3'), {
    renew: async () => made.credential('agent/planner/3'),
    stop: async () => {},
    close() {},
  });
  closing.push(() => refusing.close());
  let gone = false;
  const shown = Object.create(refusing, {
    credential: {
      get: () => {
        if (gone) throw new WritError('denied', 'taken back');
        return refusing.credential;
      },
    },
    clientOptions: {
      value: (rule: object) => {
        if (gone) throw new WritError('denied', 'taken back');
        return refusing.clientOptions(rule);
      },
    },
  }) as Identity;
  const dispatcher = dispatcherOf(shown);
  assert.equal(await (await undiciFetch(url, { dispatcher })).text(), 'yes');
  gone = true;
  await assert.rejects(undiciFetch(url, { dispatcher }), (error: Error) => isWritError(error.cause, 'denied'));
  gone = false;
  assert.equal(await (await undiciFetch(url, { dispatcher })).text(), 'yes');
});

test('WebSockets: of ws with the options of the identity, of undici and Node with the dispatcher', async () => {
  const { server, url } = await serve((_, answer) => answer.end());
  const sockets = new WebSocketServer({ server });
  sockets.on('connection', (socket, asked) =>
    socket.on('message', (text) => socket.send(`${text} ${who(asked.socket)}`)),
  );
  closing.push(() => sockets.close());
  const address = url.replace('https', 'wss');
  const want = `hello ${planner.spiffeId}`;
  const ws = new WebSocket(address, planner.clientOptions({ allow }) as object);
  await once(ws, 'open');
  ws.send('hello');
  assert.ok(String((await once(ws, 'message'))[0]).startsWith(want));
  ws.close();
  const denied = new WebSocket(address, planner.clientOptions({ allow: 'service/bank/*' }) as object);
  assert.ok(isWritError((await once(denied, 'error'))[0], 'denied'));
  const dispatcher = dispatcherOf(planner);
  for (const Kind of [UndiciWebSocket, WebSocket_]) {
    const socket = new Kind(address, { dispatcher } as never);
    const answer = new Promise((then, fail) => {
      socket.addEventListener('message', ({ data }: { data: unknown }) => then(data));
      socket.addEventListener('error', fail);
    });
    socket.addEventListener('open', () => socket.send('hello'));
    assert.ok(String(await answer).startsWith(want));
    socket.close();
  }
});

/** Node's own. */
const WebSocket_ = globalThis.WebSocket as unknown as typeof UndiciWebSocket;
