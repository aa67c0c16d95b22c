/** The server and the client against each other, against grpc-js, and against peers that break the rules. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type ClientHttp2Session, connect, constants, type IncomingHttpHeaders } from 'node:http2';
import { connect as connectSocket } from 'node:net';
import { after, test } from 'node:test';
import * as grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { GrpcClient } from './client.ts';
import { encodeFrame } from './frame.ts';
import { echo, echoServer, type Words } from './testdata/echo.ts';

const running = await echoServer({ message: 64 * 1024, waiting: 256 * 1024 });
const client = clientOf(running.port);
after(async () => {
  client.close();
  await running.close();
});

function clientOf(port: number): GrpcClient {
  return new GrpcClient({ authority: 'http://localhost', connect: () => connectSocket(port, '127.0.0.1') });
}

async function all<T>(messages: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const message of messages) found.push(message);
  return found;
}

async function until(what: () => boolean, ms = 5000): Promise<void> {
  const late = performance.now() + ms;
  while (!what()) {
    assert.ok(performance.now() < late, `not within ${ms} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

test('one answer, many answers, messages both ways', async () => {
  const said = await client.unary(echo.say, { text: 'hello', count: 7, colour: 'blue' });
  assert.ok(said.ok);
  assert.deepEqual([said.message.text, said.message.count, said.message.colour], ['hello', 7, 'blue']);
  const stream = client.serverStream(echo.repeat, { text: '500', count: 300 });
  const counts = (await all(stream.messages())).map(({ count }) => count);
  assert.deepEqual(
    counts,
    Array.from({ length: 300 }, (_, i) => i + 1),
  );
  assert.equal((await stream.status).code, 'ok');
  const chat = client.open(echo.chat);
  const answers = chat.messages();
  for (const text of ['a', 'b']) {
    chat.send({ text });
    assert.equal((await answers.next()).value?.text, text);
  }
  chat.finish();
  assert.equal((await answers.next()).done, true);
  assert.equal((await chat.status).code, 'ok');
});

test('what the handler throws becomes a status, and no more of it than it may', async () => {
  assert.deepEqual(await client.unary(echo.say, { text: 'refuse' }), {
    ok: false,
    status: { code: 'invalid_argument', message: 'No.' },
  });
  assert.deepEqual(await client.unary(echo.say, { text: 'break' }), {
    ok: false,
    status: { code: 'internal', message: 'It broke: 100 % – ä.' },
  });
  const missing = await client.unary({ ...echo.say, path: '/writ.test.Echo/Missing' }, {});
  assert.equal(missing.ok ? '' : missing.status.code, 'unimplemented');
});

test('a deadline ends the call on both sides; so does giving up', async () => {
  const before = running.seen.aborted;
  const begun = performance.now();
  const late = await client.unary(echo.say, { text: 'sleep' }, { timeout: 100 });
  assert.equal(late.ok ? '' : late.status.code, 'deadline_exceeded');
  assert.ok(performance.now() - begun < 2000);
  await until(() => running.seen.aborted === before + 1);
  const stream = client.serverStream(echo.repeat, { text: '10', count: 1, loud: true });
  const messages = stream.messages();
  assert.equal((await messages.next()).value?.count, 1);
  stream.cancel();
  assert.equal((await stream.status).code, 'cancelled');
  await until(() => running.seen.aborted === before + 2);
});

test('the server keeps the deadline by itself', async () => {
  const { headers, trailers } = await raw({ 'grpc-timeout': '50m' }, say('sleep'));
  assert.equal(trailers['grpc-status'] ?? headers['grpc-status'], '4');
});

test('a message that is too large is refused by either side', async () => {
  const sent = await client.unary(echo.say, { raw: new Uint8Array(70_000) });
  assert.equal(sent.ok ? '' : sent.status.code, 'resource_exhausted');
  const stream = client.serverStream(echo.repeat, { text: '70000', count: 1 });
  assert.deepEqual(await all(stream.messages()), []);
  assert.equal((await stream.status).code, 'internal');
  // The connection goes on.
  assert.ok((await client.unary(echo.say, {})).ok);
});

test('a reader that reads nothing is broken off, and no more is kept for it than the bound', async () => {
  const session = await rawSession();
  const stream = session.request({ ...CALL, ':path': echo.repeat.path });
  stream.end(encodeFrame(echo.repeat.request.encode({ text: '60000', count: 40, loud: true })));
  stream.on('error', () => {});
  const closed = new Promise((resolve) => stream.once('close', resolve));
  // Never read: 2.4 MB would wait.
  await closed;
  assert.equal(stream.rstCode, constants.NGHTTP2_ENHANCE_YOUR_CALM);
  session.destroy();
});

test('what is no gRPC is refused: method, media type, compression, timeout, two messages, none, half of one', async () => {
  const two = Buffer.concat([say('a'), say('b')]);
  const table: readonly [string, Record<string, string>, Buffer, string, string | undefined][] = [
    ['GET', { ':method': 'GET' }, Buffer.alloc(0), '405', undefined],
    ['JSON', { 'content-type': 'application/json' }, say('a'), '415', undefined],
    ['web', { 'content-type': 'application/grpc-web' }, say('a'), '415', undefined],
    ['gzip', { 'grpc-encoding': 'gzip' }, say('a'), '200', '12'],
    ['timeout', { 'grpc-timeout': 'soon' }, say('a'), '200', '3'],
    ['two', {}, two, '200', '3'],
    ['none', {}, Buffer.alloc(0), '200', '3'],
    ['half', {}, say('a').subarray(0, 6), '200', '3'],
    ['no message', {}, encodeFrame(Uint8Array.of(0x0a, 9)), '200', '3'],
    ['proto', { 'content-type': 'application/grpc+proto' }, say('a'), '200', '0'],
  ];
  for (const [name, headers, body, status, code] of table) {
    const got = await raw(headers, body);
    assert.equal(String(got.headers[':status']), status, name);
    assert.equal(got.trailers['grpc-status'] ?? got.headers['grpc-status'], code, name);
  }
});

test('headers beyond the bounds do not reach a handler', async () => {
  const many = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`x-${i}`, 'y']));
  for (const headers of [many, { 'x-long': 'y'.repeat(40_000) }]) {
    const got = await raw(headers, say('a')).catch(() => ({ headers: {} as IncomingHttpHeaders, trailers: {} }));
    assert.notEqual(String(got.headers[':status']), '200', `${Object.keys(headers).length}`);
  }
});

test('a request that dawdles is given up', async () => {
  const slow = await echoServer({ requestTimeout: 100 });
  const session = await rawSession(slow.port);
  const stream = session.request({ ...CALL, ':path': echo.say.path });
  stream.write(say('a').subarray(0, 3));
  const [headers] = (await once(stream, 'response')) as [IncomingHttpHeaders];
  assert.equal(headers['grpc-status'], '4');
  stream.on('error', () => {});
  session.destroy();
  await slow.close();
});

test('a connection that says nothing is closed, and a server that closes ends what runs', async () => {
  const brief = await echoServer({ idleTimeout: 100 });
  const session = await rawSession(brief.port);
  await once(session, 'close');
  const other = clientOf(brief.port);
  const stream = other.serverStream(echo.repeat, { text: '1', count: 1, loud: true });
  await stream.messages().next();
  await brief.close();
  assert.notEqual((await stream.status).code, 'ok');
  other.close();
});

test('garbage in place of HTTP/2 hurts nobody', async () => {
  for (const bytes of [Buffer.from('GET / HTTP/1.1\r\n\r\n'), Buffer.alloc(100, 0xff)]) {
    const socket = connectSocket(running.port, '127.0.0.1');
    socket.on('error', () => {});
    socket.write(bytes);
    socket.resume();
    await once(socket, 'close');
  }
  assert.ok((await client.unary(echo.say, {})).ok);
});

test('grpc-js reads us: answers, streams, refusals, deadlines', async () => {
  const loaded = grpc.loadPackageDefinition(
    loadSync(`${import.meta.dirname}/testdata/echo.proto`, { keepCase: true, longs: Number, enums: String }),
  ) as unknown as { writ: { test: { Echo: grpc.ServiceClientConstructor } } };
  const stub = new loaded.writ.test.Echo(
    `127.0.0.1:${running.port}`,
    grpc.credentials.createInsecure(),
  ) as unknown as Foreign;
  const say = (words: object, options: object = {}): Promise<Words> =>
    new Promise((resolve, reject) => {
      stub.Say(words, options, (error, value) => (error === null ? resolve(value!) : reject(error)));
    });
  const said = await say({
    text: 'grüezi',
    count: 2 ** 40,
    colour: 'COLOUR_BLUE',
    left: 'l',
    items: [{ sizes: [1, 2] }],
  });
  assert.deepEqual(
    [said.text, said.count, said.colour, said.left, said.items?.[0]?.sizes],
    ['grüezi', 2 ** 40, 'COLOUR_BLUE', 'l', [1, 2]],
  );
  const counts: (number | undefined)[] = [];
  for await (const one of stub.Repeat({ text: '500', count: 100, colour: 'COLOUR_BLUE' })) counts.push(one.count);
  assert.equal(counts.length, 100);
  await assert.rejects(say({ text: 'break', colour: 'COLOUR_BLUE' }), { code: 13, details: 'It broke: 100 % – ä.' });
  await assert.rejects(say({ text: 'sleep', colour: 'COLOUR_BLUE' }, { deadline: Date.now() + 100 }), { code: 4 });
  stub.close();
});

interface Foreign {
  Say(words: object, options: object, done: (error: Error | null, value?: Words) => void): void;
  Repeat(words: object): AsyncIterable<Words>;
  close(): void;
}

const CALL = { ':method': 'POST', te: 'trailers', 'content-type': 'application/grpc' };

function say(text: string): Buffer {
  return encodeFrame(echo.say.request.encode({ text }));
}

async function rawSession(port = running.port): Promise<ClientHttp2Session> {
  const session = connect(`http://127.0.0.1:${port}`);
  session.on('error', () => {});
  await once(session, 'connect');
  return session;
}

/** One call by hand, so that anything can be wrong with it. */
async function raw(
  headers: Record<string, string>,
  body: Buffer,
): Promise<{ headers: IncomingHttpHeaders; trailers: IncomingHttpHeaders }> {
  const session = await rawSession();
  try {
    return await new Promise((resolve, reject) => {
      const stream = session.request({ ...CALL, ':path': echo.say.path, ...headers }, { endStream: false });
      const got = { headers: {} as IncomingHttpHeaders, trailers: {} as IncomingHttpHeaders };
      stream.on('response', (one) => {
        got.headers = one;
      });
      stream.on('trailers', (one) => {
        got.trailers = one;
      });
      stream.on('error', reject);
      stream.on('close', () => resolve(got));
      stream.resume();
      stream.end(body);
    });
  } finally {
    session.destroy();
  }
}
