/** Clients that give a path as their authority are served like others, however their octets arrive; others pass untouched. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import {
  type ClientHttp2Session,
  connect,
  type IncomingHttpHeaders,
  performServerHandshake,
  type ServerHttp2Session,
} from 'node:http2';
import { type AddressInfo, connect as connectSocket, createServer, type Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { after, test } from 'node:test';
import { normaliseAuthority } from './authority.ts';

const sessions = new Set<ServerHttp2Session>();
/** Connections that were handed over as they came. */
let untouched = 0;
const server = createServer((socket) => {
  socket.on('error', () => undefined);
  normaliseAuthority(socket, (connection) => {
    if (connection === socket) untouched += 1;
    const session = performServerHandshake(connection);
    sessions.add(session);
    session.on('error', () => undefined);
    session.on('stream', (stream, headers) => {
      stream.on('error', () => undefined);
      stream.respond({ ':status': 200, authority: headers[':authority'] ?? '' });
      stream.pipe(stream);
    });
  });
});
await once(server.listen(0, '127.0.0.1'), 'listening');
const { port } = server.address() as AddressInfo;
after(() => {
  for (const session of sessions) session.destroy();
  server.close();
});

/** Sends what it is given in pieces of so many octets. */
function inPieces(socket: Socket, size: number): Duplex {
  socket.setNoDelay(true);
  socket.on('data', (chunk: Buffer) => pieces.push(chunk));
  socket.once('end', () => pieces.push(null));
  const pieces: Duplex = new Duplex({
    read() {},
    async write(chunk: Buffer, _encoding, done) {
      for (let at = 0; at < chunk.length; at += size) {
        await new Promise((sent) => socket.write(chunk.subarray(at, at + size), sent));
      }
      done();
    },
    final: (done) => void socket.end(done),
    destroy: (error, done) => {
      socket.destroy();
      done(error);
    },
  });
  return pieces;
}

/** As gRPC for Java says that nobody may open streams to it. */
const NETTY = { enablePush: false, maxConcurrentStreams: 0 };

function client(settings: object, size = Number.POSITIVE_INFINITY): ClientHttp2Session {
  const session = connect('http://localhost', {
    settings,
    createConnection: () => inPieces(connectSocket(port, '127.0.0.1'), size),
  });
  session.on('error', () => undefined);
  after(() => session.destroy());
  return session;
}

/** What a call was told: the authority that the server saw and the body again, or how it was reset. */
async function call(session: ClientHttp2Session, headers: object, body: Buffer): Promise<string> {
  const stream = session.request({ ':method': 'POST', ':path': '/', ...headers }, { endStream: false });
  const answered = once(stream, 'response') as Promise<[IncomingHttpHeaders]>;
  answered.catch(() => undefined);
  stream.end(body);
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) chunks.push(chunk);
    const [{ authority }] = await answered;
    return `${authority} ${Buffer.concat(chunks).equals(body)}`;
  } catch {
    return `reset ${stream.rstCode}`;
  }
}

/** Characters whose code by Huffman is longer than they are: such a value is spelled out, as Netty spells all. */
const PATH = '/~~~~~~~~/~~~~~~~~.sock';
const MENDED = PATH.replaceAll('/', '-');
const LARGE = Buffer.alloc(50_000, 'x');

test('a path is no authority to Node: this is what is mended', async () => {
  assert.equal(await call(client({}), { ':authority': PATH }, LARGE), 'reset 1');
});

for (const [size, name] of [
  [Number.POSITIVE_INFINITY, 'at once'],
  [7, 'in pieces'],
  [1, 'octet by octet'],
] as const) {
  test(`a path is taken from a client of Netty, in each of its calls, ${name}`, async () => {
    const session = client(NETTY, size);
    const body = size === 1 ? LARGE.subarray(0, 500) : LARGE;
    // The second call names what the first one put into HPACK's table; the third has another, behind other headers.
    for (const authority of [PATH, PATH, `${PATH}/~`]) {
      const headers = { ':authority': authority, 'x-before': '/a/b', 'x-~': '~/~' };
      assert.equal(await call(session, headers, body), `${authority.replaceAll('/', '-')} true`);
    }
  });
}

test('calls at one time do not get into each other’s way', async () => {
  const session = client(NETTY);
  const answers = await Promise.all(
    Array.from({ length: 50 }, (_, index) => call(session, { ':authority': PATH }, LARGE.subarray(index))),
  );
  assert.deepEqual(new Set(answers), new Set([`${MENDED} true`]));
});

test('whoever is nobody’s client of Netty is handed over as it is, also octet by octet', async () => {
  for (const size of [Number.POSITIVE_INFINITY, 1]) {
    const before = untouched;
    assert.equal(await call(client({}, size), { ':authority': 'localhost' }, Buffer.from('a')), 'localhost true');
    assert.equal(untouched, before + 1);
  }
});

test('what is no HTTP/2, or breaks off, takes nobody else along', async () => {
  for (const octets of [
    'GET / HTTP/1.1\r\nHost: localhost\r\nX: this is long enough\r\n\r\n',
    'PRI',
    `${preface()}\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\0\0\x3f\xff\x01\x04\0\0\0\x01${'\xff'.repeat(16_383)}`,
    `${preface()}\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\0\0\0\x02\x01\x0c\0\0\0\x01\xff\x41`,
  ]) {
    const socket = connectSocket(port, '127.0.0.1');
    socket.on('error', () => undefined);
    socket.resume();
    socket.end(Buffer.from(octets, 'latin1'));
    await once(socket, 'close');
  }
  assert.equal(await call(client(NETTY), { ':authority': PATH }, Buffer.from('a')), `${MENDED} true`);
});

function preface(): string {
  return 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
}
