import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { test } from 'node:test';
import { systemClock } from '../base/clock.ts';
import { DEFAULT_LIMITS } from './limits.ts';
import type { Route } from './route.ts';
import { HttpServer } from './server.ts';
import type { ReplyStream } from './stream.ts';

/** A server on loopback whose one route streams. */
async function serve(waiting: number): Promise<{ port: number; streams: ReplyStream[]; server: HttpServer }> {
  const streams: ReplyStream[] = [];
  const route: Route = {
    method: 'GET',
    path: '/stream',
    access: 'public',
    handle: () => ({ status: 200, type: 'text/event-stream', body: '', stream: (stream) => streams.push(stream) }),
  };
  const limits = { ...DEFAULT_LIMITS, streamWaiting: waiting, streamsPerCaller: 3 };
  const problem = (_error: unknown, _id: string, status = 503) => ({ status, body: '{}' });
  const server = new HttpServer({ routes: [route], clock: systemClock, problem, limits });
  const { port } = await server.listen({ host: '127.0.0.1', port: 0 });
  return { port, streams, server };
}

function ask(port: number, read: boolean): { text: () => string; closed: Promise<void> } {
  const socket = connect(port, '127.0.0.1');
  socket.write('GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n');
  socket.on('error', () => {});
  let text = '';
  if (read) socket.on('data', (chunk) => (text += chunk.toString()));
  return { text: () => text, closed: new Promise((resolve) => socket.once('close', () => resolve())) };
}

async function until(what: () => boolean): Promise<void> {
  for (let i = 0; i < 400 && !what(); i++) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.ok(what(), String(what));
}

test('who reads gets it all; who does not is cut off, and holds no memory', async () => {
  const { port, streams, server } = await serve(64 * 1024);
  const reader = ask(port, true);
  await until(() => streams.length === 1);
  ask(port, false);
  await until(() => streams.length === 2);
  const ended = [false, false];
  streams.forEach((stream, i) => {
    stream.onEnd(() => (ended[i] = true));
  });
  const piece = 'x'.repeat(16 * 1024);
  for (let i = 0; i < 2000 && !ended[1]; i++) {
    for (const stream of streams) stream.write(piece);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  assert.deepEqual(ended, [false, true]);
  streams[0]!.end();
  await reader.closed;
  assert.match(reader.text(), /^HTTP\/1\.1 200 OK\r\n/);
  assert.ok(reader.text().includes(piece));
  await server.close(1000);
});

test('one large piece is no sign of a slow reader', async () => {
  const { port, streams, server } = await serve(16 * 1024);
  const reader = ask(port, true);
  await until(() => streams.length === 1);
  for (const size of [400_000, 400_000]) {
    const before = reader.text().length;
    streams[0]!.write('x'.repeat(size));
    await until(() => reader.text().length >= before + size);
  }
  await server.close(1000);
});

test('streams are counted apart from requests in work, and end with the server', async () => {
  const { port, streams, server } = await serve(64 * 1024);
  const readers = Array.from({ length: 3 }, () => ask(port, true));
  await until(() => streams.length === 3);
  assert.equal(server.inWork(), 0);
  const fourth = ask(port, true);
  await until(() => fourth.text().includes('HTTP/1.1 503'));
  const begun = performance.now();
  await Promise.all([server.close(5000), ...readers.map(({ closed }) => closed)]);
  assert.ok(performance.now() - begun < 2000);
});
