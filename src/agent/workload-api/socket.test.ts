import assert from 'node:assert/strict';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { isWritError } from '../../base/error.ts';
import { ListeningSocket, type SocketOptions } from './socket.ts';

const scratch = mkdtempSync(join(tmpdir(), 'writ-socket-'));
const closing: (() => unknown)[] = [() => rmSync(scratch, { recursive: true, force: true })];
after(async () => {
  for (const close of closing.reverse()) await close();
});

let count = 0;

function options(given: Partial<SocketOptions> = {}): SocketOptions {
  return {
    ...{ path: join(scratch, String(count++), 'api.sock'), mode: 0o770, directoryMode: 0o750, field: '--socket' },
    accept: (socket) => void socket.end('hello'),
    ...given,
  };
}

async function listen(given: SocketOptions): Promise<ListeningSocket> {
  const made = await ListeningSocket.listen(given);
  closing.push(() => made.close());
  return made;
}

async function greeting(path: string): Promise<string> {
  const socket = connect(path);
  socket.setEncoding('utf8');
  let said = '';
  for await (const piece of socket) said += piece;
  return said;
}

const fails = (given: SocketOptions, code: string) =>
  assert.rejects(ListeningSocket.listen(given), (error: unknown) => isWritError(error) && error.code === code);

test('directory and socket have the modes that were asked for, and nothing else lies there', async () => {
  const given = options();
  const made = await listen(given);
  assert.equal(lstatSync(dirname(given.path)).mode & 0o777, 0o750);
  assert.equal(lstatSync(given.path).mode & 0o777, 0o770);
  assert.deepEqual(readdirSync(dirname(given.path)), ['api.sock']);
  assert.equal(await greeting(given.path), 'hello');
  await made.close();
  assert.deepEqual(readdirSync(dirname(given.path)), []);
});

test('a directory that others can change, and a path that cannot be, are refused', async () => {
  const open = options();
  mkdirSync(dirname(open.path), { mode: 0o777 });
  chmodSync(dirname(open.path), 0o777);
  await fails(open, 'unsafe_permissions');
  // As /tmp is: nobody takes the socket away, but whoever comes first can have its name.
  chmodSync(dirname(open.path), 0o1777);
  await fails(open, 'unsafe_permissions');
  await fails(options({ path: 'api.sock' }), 'bad_config');
  await fails(options({ path: join(scratch, 'x'.repeat(100)) }), 'bad_config');
  const file = options();
  mkdirSync(dirname(file.path));
  writeFileSync(file.path, 'precious');
  await fails(file, 'bad_config');
  const link = options();
  mkdirSync(dirname(link.path));
  symlinkSync(file.path, link.path);
  await fails(link, 'bad_config');
  assert.ok(existsSync(file.path));
});

test('what a killed daemon left is taken away; one that lives is left alone', async () => {
  const given = options();
  mkdirSync(dirname(given.path));
  const other = createServer((socket) => void socket.on('error', () => undefined).end('other')).listen(given.path);
  await once(other, 'listening');
  await fails(given, 'locked');
  assert.equal(await greeting(given.path), 'other');
  // Dead, and its socket left behind: Node would take it along.
  const left = join(dirname(given.path), 'left');
  const { linkSync } = await import('node:fs');
  linkSync(given.path, left);
  other.close();
  await once(other, 'close');
  linkSync(left, given.path);
  await listen(given);
  assert.equal(await greeting(given.path), 'hello');
});

test('a socket that was removed is made again, also with its directory; connections stay', async () => {
  let restored = 0;
  const given = options({
    accept: (socket) => void socket.pipe(socket),
    restored: () => {
      restored += 1;
    },
  });
  const made = await listen(given);
  const before = connect(given.path);
  await once(before, 'connect');
  for (const turn of [1, 2]) {
    rmSync(turn === 1 ? given.path : dirname(given.path), { recursive: true });
    for (let n = 0; n < 300 && restored < turn; n++) await new Promise((then) => setTimeout(then, 10));
    assert.equal(restored, turn);
    const fresh = connect(given.path);
    fresh.write('new');
    assert.equal(String((await once(fresh, 'data'))[0]), 'new');
    fresh.destroy();
    before.write('old');
    assert.equal(String((await once(before, 'data'))[0]), 'old');
  }
  await made.close();
  assert.equal(existsSync(given.path), false);
});

test('closing takes nothing away that another daemon has put there', async () => {
  const given = options();
  const first = await listen(given);
  rmSync(given.path);
  const other = createServer((socket) => void socket.on('error', () => undefined).end('other')).listen(given.path);
  await once(other, 'listening');
  closing.push(() => other.close());
  await new Promise((then) => setTimeout(then, 700));
  await first.close();
  assert.equal(await greeting(given.path), 'other');
});
