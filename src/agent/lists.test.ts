/** Revocation lists that come over plain HTTP: none counts that the authority has not signed, or that is older than the last. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { testServer } from '../../test/server.ts';
import { systemClock } from '../base/clock.ts';
import { connect } from '../sdk/enrolment/connect.ts';
import { parseCrl } from '../x509/crl.ts';
import { Lists } from './lists.ts';

const server = await testServer();
const node = await connect({ token: await server.token('box', 'service') });
const closing: (() => unknown)[] = [() => node.close()];
after(async () => {
  for (const close of closing.reverse()) await close();
});

/** The server signs its first lists a moment after it listens. */
before(async () => {
  const lists = new Lists(systemClock.now, () => undefined);
  lists.learn(node.credential);
  for (let n = 0; n < 200; n++) {
    await lists.refresh();
    if (Object.keys(lists.faults).length === 0) return;
    await pause(50);
  }
  assert.deepEqual(lists.faults, {});
});

test('the lists of the authorities above a certificate, again when somebody was revoked', async () => {
  let changes = 0;
  const lists = new Lists(systemClock.now, () => {
    changes += 1;
  });
  lists.learn(node.credential);
  await lists.refresh();
  assert.deepEqual(lists.faults, {});
  // The issuing authority's and those above it.
  assert.ok(lists.current.length >= 2);
  const entries = (): number => lists.current.map((der) => parseCrl(der).entries.length).reduce((a, b) => a + b, 0);
  assert.deepEqual([entries(), changes], [0, 1]);
  await lists.refresh();
  assert.equal(changes, 1, 'unchanged lists are no change');
  const victim = await connect({ token: await server.token('planner') });
  closing.push(() => victim.close());
  await server.json('cert', 'revoke', victim.credential.serial, '--cause', 'key_theft');
  for (let n = 0; n < 200 && entries() === 0; n++) {
    await pause(50);
    await lists.refresh();
  }
  assert.equal(entries(), 1);
});

test('a list that was changed on the way, belongs to another authority, is older or very large is left out', async () => {
  let body: (der: Buffer) => Buffer = (der) => der;
  const fetched = new Map<string, Buffer>();
  // Between the daemon and the plain listener: whoever sits there.
  const middle = createServer((request, response) => {
    const url = request.url!.slice(1);
    const answer = async (): Promise<Buffer> => {
      const known = fetched.get(url) ?? Buffer.from(await (await fetch(url)).arrayBuffer());
      fetched.set(url, known);
      return known;
    };
    answer().then(
      (der) => response.end(body(der)),
      () => response.writeHead(500).end(),
    );
  }).listen(0, '127.0.0.1');
  await once(middle, 'listening');
  closing.push(() => middle.close());
  const through = `http://127.0.0.1:${(middle.address() as AddressInfo).port}/`;
  const made = (): Lists => {
    const lists = new Lists(
      systemClock.now,
      () => undefined,
      (url) => `${through}${url}`,
    );
    lists.learn(node.credential);
    return lists;
  };
  const honest = made();
  await honest.refresh();
  const count = honest.current.length;
  assert.ok(count >= 2);

  for (const [name, change] of [
    ['one bit', (der: Buffer) => Buffer.from(der.map((octet, at) => (at === der.length - 20 ? octet ^ 1 : octet)))],
    ['cut off', (der: Buffer) => der.subarray(0, -1)],
    ['of another', (der: Buffer) => [...fetched.values()].find((one) => !one.equals(der))!],
    ['no list', () => Buffer.from('hello')],
    ['large', (der: Buffer) => Buffer.concat([der, Buffer.alloc(2 * 1024 * 1024)])],
  ] as const) {
    body = change;
    const lists = made();
    await lists.refresh();
    assert.deepEqual(lists.current, [], name);
    assert.equal(Object.keys(lists.faults).length, count, name);
    // What is held stays.
    const before = honest.current;
    await honest.refresh();
    assert.deepEqual(honest.current, before, name);
  }
});
