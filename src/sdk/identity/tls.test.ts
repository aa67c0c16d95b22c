/** Mutual TLS with identities over every module of Node that speaks it, and servers whose certificate is renewed. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import * as http2 from 'node:http2';
import * as https from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { after, test } from 'node:test';
import * as tls from 'node:tls';
import { isWritError } from '../../base/error.ts';
import { peerOf } from '../peer/peer.ts';
import { issuer } from './testdata/identities.ts';

const ours = issuer();
const planner = ours.identity('agent/planner/1');
const service = ours.identity('service/db/1');
const stranger = issuer().identity('agent/planner/1');

const closing: (() => void)[] = [];
after(() => {
  for (const close of closing) close();
});

async function listen(server: tls.Server): Promise<number> {
  const sockets: Socket[] = [];
  server.on('connection', (socket: Socket) => sockets.push(socket));
  closing.push(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return (server.address() as AddressInfo).port;
}

/** A TLS server that tells its clients who they are. */
async function greeter(options: { readonly allow?: string } = {}): Promise<{ port: number }> {
  const server = tls.createServer(service.serverOptions(), (socket) => {
    socket.on('error', () => {});
    socket.end(peerOf(socket)?.uri ?? 'nobody');
  });
  server.on('tlsClientError', () => {});
  if (options.allow !== undefined) service.protect(server, { allow: options.allow });
  return { port: await listen(server) };
}

async function read(socket: tls.TLSSocket): Promise<string> {
  let text = '';
  for await (const chunk of socket) text += String(chunk);
  return text;
}

test('tls: each end knows the other', async () => {
  const { port } = await greeter();
  const socket = tls.connect({ port, host: '127.0.0.1', ...planner.clientOptions({ allow: 'service/db/*' }) });
  await once(socket, 'secureConnect');
  assert.equal(peerOf(socket)?.uri, service.spiffeId);
  assert.equal(socket.getProtocol(), 'TLSv1.3');
  assert.equal(await read(socket), planner.spiffeId);
});

test('tls: a client accepts by rule and by root, or by host name', async () => {
  const { port } = await greeter();
  const refuses = async (options: tls.ConnectionOptions, code: RegExp): Promise<void> => {
    const socket = tls.connect({ port, host: '127.0.0.1', ...options });
    const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException];
    assert.match(String(error.code), code);
  };
  await refuses(planner.clientOptions({ allow: 'service/other/*' }), /^denied$/);
  await refuses(planner.clientOptions({ allow: [] }), /^denied$/);
  await refuses(stranger.clientOptions({ allow: () => true }), /^(SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_)/);
  await refuses({ ...planner.clientOptions(), servername: 'elsewhere.example' }, /^ERR_TLS_CERT_ALTNAME_INVALID$/);
  const named = tls.connect({ port, host: '127.0.0.1', ...planner.clientOptions() });
  assert.equal(await read(named), planner.spiffeId);
});

test('tls: a server turns away who shows nothing, another root, or an id that is not allowed', async () => {
  const { port } = await greeter({ allow: 'agent/planner/*' });
  const answer = async (options: tls.ConnectionOptions): Promise<string> => {
    const socket = tls.connect({ port, host: '127.0.0.1', ...options });
    try {
      return await read(socket);
    } catch (error) {
      return String((error as NodeJS.ErrnoException).code);
    }
  };
  assert.equal(await answer(planner.clientOptions()), planner.spiffeId);
  const { ca } = planner.clientOptions();
  const researcher = ours.identity('agent/researcher/1').clientOptions();
  for (const refused of [{ ca: ca! }, { ...stranger.clientOptions(), ca: ca! }, researcher]) {
    // How it ends depends on which end sees it first; that nothing is said does not.
    assert.match(await answer(refused), /^$|CERTIFICATE_REQUIRED|UNKNOWN_CA|ECONNRESET|EPIPE/);
  }
});

test('https: what a client that is not allowed has sent is never read', async () => {
  let asked = 0;
  const server = https.createServer(service.serverOptions(), (_, answer) => {
    asked += 1;
    answer.end('yes');
  });
  const release = service.protect(server, { allow: 'agent/planner/*' });
  const port = await listen(server);
  const status = (identity: typeof planner): Promise<unknown> =>
    new Promise((resolve) => {
      https
        .get(
          { port, host: '127.0.0.1', agent: false, ...identity.clientOptions({ allow: 'service/db/*' }) },
          (answer) => {
            answer.resume();
            resolve(answer.statusCode);
          },
        )
        .on('error', (error: NodeJS.ErrnoException) => resolve(error.code));
    });
  const researcher = ours.identity('agent/researcher/1');
  assert.equal(await status(planner), 200);
  for (let i = 0; i < 5; i++) assert.notEqual(await status(researcher), 200);
  assert.equal(asked, 1);
  release();
  assert.equal(await status(researcher), 200);
});

test('https: connections that were accepted under one rule are not used under another', async () => {
  const server = https.createServer(service.serverOptions(), (_, answer) => answer.end('yes'));
  const port = await listen(server);
  const agent = new https.Agent({ keepAlive: true });
  const get = (options: https.RequestOptions): Promise<unknown> =>
    new Promise((resolve, reject) => {
      https
        .get({ port, host: '127.0.0.1', agent, ...options }, (answer) =>
          answer.resume().on('end', () => resolve(answer.statusCode)),
        )
        .on('error', reject);
    });
  const allowed = planner.clientOptions({ allow: 'service/db/*' });
  assert.equal(await get(allowed), 200);
  assert.equal(await get(allowed), 200);
  const refused = (error: unknown): boolean => isWritError(error, 'denied');
  await assert.rejects(get(planner.clientOptions({ allow: 'service/other/*' })), refused);
  await assert.rejects(get(planner.clientOptions({ allow: () => false })), refused);
  agent.destroy();
});

test('http2: both directions', async () => {
  const server = http2.createSecureServer(service.serverOptions(), (request, answer) => {
    answer.end(peerOf(request.stream.session!.socket as tls.TLSSocket)!.uri);
  });
  service.protect(server as unknown as tls.Server, { allow: 'agent/planner/*' });
  const port = await listen(server as unknown as tls.Server);
  const ask = async (identity: typeof planner, allow: string): Promise<string> => {
    const session = http2.connect(`https://127.0.0.1:${port}`, identity.clientOptions({ allow }));
    try {
      return await new Promise<string>((resolve, reject) => {
        session.on('error', reject);
        session.on('close', () => reject(new Error('closed')));
        const stream = session.request({ ':path': '/' });
        let text = '';
        stream.setEncoding('utf8');
        stream.on('data', (chunk: string) => {
          text += chunk;
        });
        stream.on('end', () => (text === '' ? reject(new Error('cut off')) : resolve(text)));
        stream.on('error', reject);
      });
    } finally {
      session.destroy();
    }
  };
  assert.equal(await ask(planner, 'service/db/*'), planner.spiffeId);
  await assert.rejects(ask(planner, 'service/other/*'), ({ cause }: Error) => isWritError(cause, 'denied'));
  await assert.rejects(ask(ours.identity('agent/researcher/1'), 'service/db/*'));
});

test('a live server changes to the renewed certificate; its connections live on; nothing is resumed', async () => {
  const server = tls.createServer(service.serverOptions(), (socket) => {
    socket.on('error', () => {});
    socket.pipe(socket);
  });
  service.protect(server, { allow: 'agent/planner/*' });
  const port = await listen(server);
  const open = async (session?: Buffer): Promise<tls.TLSSocket> => {
    const options = planner.clientOptions({ allow: 'service/db/*' });
    const socket = tls.connect({ port, host: '127.0.0.1', ...options, ...(session === undefined ? {} : { session }) });
    await once(socket, 'secureConnect');
    return socket;
  };
  const serialOf = (socket: tls.TLSSocket): string => socket.getPeerX509Certificate()!.serialNumber;
  const old = await open();
  const [session] = (await Promise.race([
    once(old, 'session'),
    new Promise((resolve) => setTimeout(() => resolve([old.getSession()]), 50)),
  ])) as [Buffer];
  await service.renew();
  const next = await open(session);
  assert.notEqual(serialOf(next), serialOf(old));
  assert.equal(next.isSessionReused(), false);
  old.write('still here');
  assert.equal(String((await once(old, 'data'))[0]), 'still here');
  old.destroy();
  next.destroy();
});

test('a server that was made before a renewal gets the newest certificate when it is protected', async () => {
  const identity = ours.identity('service/db/2');
  const server = tls.createServer(identity.serverOptions(), (socket) => socket.end());
  await identity.renew();
  identity.protect(server, { allow: 'agent/planner/*' });
  const port = await listen(server);
  const socket = tls.connect({ port, host: '127.0.0.1', ...planner.clientOptions({ allow: 'service/db/*' }) });
  await once(socket, 'secureConnect');
  const shown = socket.getPeerX509Certificate()!;
  assert.ok(shown.checkPrivateKey(identity.credential.key));
  socket.destroy();
});
