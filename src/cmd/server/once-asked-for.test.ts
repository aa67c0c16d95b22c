import assert from 'node:assert/strict';
import { Duplex } from 'node:stream';
import { test } from 'node:test';
import type { TLSSocket } from 'node:tls';
import type { Door, OtherProtocol } from '../../http/door.ts';
import { onceAskedFor } from './once-asked-for.ts';

/** A protocol that is opened when the test says so, and notes what becomes of it. */
function protocol(): {
  readonly under: OtherProtocol;
  readonly taken: TLSSocket[];
  readonly closed: number[];
  readonly opened: () => number;
  readonly open: (error?: Error) => void;
} {
  const [taken, closed]: [TLSSocket[], number[]] = [[], []];
  const { promise, resolve, reject } = Promise.withResolvers<Omit<OtherProtocol, 'alpn'>>();
  let count = 0;
  const server = {
    accept: (socket: TLSSocket) => void taken.push(socket),
    close: async (graceMs: number) => void closed.push(graceMs),
  };
  const under = onceAskedFor('h2', () => {
    count += 1;
    return promise;
  });
  return {
    ...{ under, taken, closed, opened: () => count },
    open: (error) => (error === undefined ? resolve(server) : reject(error)),
  };
}

function socket(): TLSSocket {
  return new Duplex({ read() {}, write: (_, __, done) => done() }) as TLSSocket;
}

/** `once` of node:events would take an error for a failure of the test. */
function closedOf(one: TLSSocket): Promise<void> {
  return new Promise((resolve) => one.once('close', () => resolve()));
}

const door = {} as Door;
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('it is opened with the first connection and once, and takes over all that came meanwhile', async () => {
  const { under, taken, opened, open } = protocol();
  await turn();
  assert.equal(opened(), 0);
  const all = [socket(), socket()];
  for (const one of all) under.accept(one, door);
  assert.equal(opened(), 1);
  open();
  await turn();
  all.push(socket());
  under.accept(all[2]!, door);
  await turn();
  assert.deepEqual([taken.length, taken.every((one, i) => one === all[i]), opened()], [3, true, 1]);
});

test('who has left while it was opened is not taken over, and breaks nothing', async () => {
  const { under, taken, open } = protocol();
  const [gone, broken, here] = [socket(), socket(), socket()];
  for (const one of [gone, broken, here]) under.accept(one, door);
  gone.destroy();
  // Without a listener this would end the process.
  broken.destroy(new Error('reset'));
  await closedOf(broken);
  open();
  await turn();
  assert.deepEqual([taken.length, taken[0] === here], [1, true]);
});

test('where it cannot be opened its connections are closed, and so is the server', async () => {
  const { under, open } = protocol();
  const one = socket();
  under.accept(one, door);
  open(new Error('no such module'));
  await closedOf(one);
  await under.close(10);
});

test('a server that ends opens nothing any more, and closes what it has opened', async () => {
  const asked = protocol();
  asked.under.accept(socket(), door);
  const ending = asked.under.close(70);
  asked.open();
  await ending;
  assert.deepEqual(asked.closed, [70]);
  const never = protocol();
  await never.under.close(70);
  const late = socket();
  never.under.accept(late, door);
  assert.deepEqual([late.destroyed, never.opened(), never.closed], [true, 0, []]);
});
