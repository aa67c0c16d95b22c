/** Two servers on one PostgreSQL tell a receiver of stops: one at a time, in order, and the other goes on where one died. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { postgresMissing } from '../postgres.ts';
import type { RunningServer } from '../program.ts';
import { enrol, operatorClient } from './clients.ts';
import { type Machine, newSite } from './replica.ts';

const skip = postgresMissing() ?? false;
const OWNER = { team: 'journeys', sponsor: 'sponsor@example.com' } as const;
/** Milliseconds that the receiver takes over one token. */
const SLOW = 40;
const STOPS = 24;

function tellingOthers({ config }: Machine): void {
  const signals = {
    issuer: 'https://writ.agents.example.com',
    receivers: { allowHttp: true, allowNetworks: ['127.0.0.0/8'] },
  };
  writeFileSync(config, JSON.stringify({ ...(JSON.parse(readFileSync(config, 'utf8')) as object), signals }));
}

/** A receiver that remembers what it was sent, in order, and how many sent to it at once. */
async function slowReceiver() {
  const taken: string[] = [];
  const most = { atOnce: 0 };
  let now = 0;
  const server = createServer((request, response) => {
    now += 1;
    most.atOnce = Math.max(most.atOnce, now);
    // A process that was killed sends no more, whatever this side still does.
    request.socket.once('close', () => (now -= 1));
    let text = '';
    request.on('data', (chunk: Buffer) => (text += chunk.toString()));
    request.on('end', () => {
      setTimeout(() => {
        if (request.socket.destroyed) return;
        const { jti } = JSON.parse(Buffer.from(text.split('.')[1]!, 'base64url').toString()) as { jti: string };
        taken.push(jti);
        response.writeHead(202, { Connection: 'close' }).end();
      }, SLOW);
    });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  after(() => server.close());
  return { taken, most, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/events` };
}

test('one of two servers sends; when it is killed the other goes on, in order, and loses nothing', {
  skip,
}, async (t) => {
  const site = await newSite();
  const machines = [site.machine(), site.machine()];
  for (const machine of machines) tellingOthers(machine);
  const servers: RunningServer[] = [];
  for (const machine of machines) servers.push(await machine.start());
  const operators = servers.map(({ api }) => operatorClient(machines[0]!.operator, api));
  after(() => operators.map((operator) => operator.close()));
  const [first] = operators;
  const there = await slowReceiver();
  const delivery = { method: 'urn:ietf:rfc:8935', endpoint_url: there.url };
  const stream = await first!.json<{ stream_id: string }>({
    ...{ method: 'POST', path: '/v1/signals/streams' },
    body: { delivery, events_requested: ['https://schemas.openid.net/secevent/caep/event-type/session-revoked'] },
  });
  const body = { name: 'planner', owner: OWNER, purpose: 'is stopped' };
  await first!.json({ method: 'POST', path: '/v1/agents', body });
  const instances: string[] = [];
  for (let i = 0; i < STOPS; i++) {
    const { token } = await first!.json<{ token: string }>({
      ...{ method: 'POST', path: '/v1/tokens' },
      body: { agent: 'planner' },
    });
    instances.push((await enrol(first!, token)).instance);
  }

  const holder = async (): Promise<string> => {
    const [row] = await site.query('SELECT holder FROM signal_work');
    return String(row!['holder']);
  };
  const sender = async (): Promise<number> => {
    const pid = Number((await holder()).split('-')[0]);
    return servers.findIndex((server) => server.pid === pid);
  };
  const stop = (at: number, instance: string) =>
    operators[at]!.json({ method: 'POST', path: `/v1/instances/${instance}/stop`, body: { cause: 'decommissioned' } });
  for (const [i, instance] of instances.slice(0, STOPS / 2).entries()) await stop(i % 2, instance);
  const until = async (what: string, holds: () => boolean | Promise<boolean>): Promise<number> => {
    const begun = performance.now();
    while (!(await holds())) {
      assert.ok(performance.now() - begun < 30_000, `in vain: ${what}; ${there.taken.length} taken`);
      await pause(10);
    }
    return performance.now() - begun;
  };
  await until('some are sent', () => there.taken.length >= 4);
  const killed = await sender();
  assert.notEqual(killed, -1, await holder());
  await servers[killed]!.kill();
  const before = there.taken.length;
  const left = 1 - killed;
  for (const instance of instances.slice(STOPS / 2)) await stop(left, instance);
  await until('all are sent', () => new Set(there.taken).size === STOPS);
  const took = await until('the queue is empty', async () => {
    const [row] = await site.query('SELECT COUNT(*) AS left FROM signal_event');
    return Number(row!['left']) === 0;
  });
  t.diagnostic(`${before} before the kill, ${there.taken.length} in all, ${took.toFixed(0)} ms at the end`);
  assert.equal(await sender(), left);

  const leaves = [...new Set(there.taken)].map((jti) => Number(jti.split('.')[1]));
  assert.deepEqual(
    leaves,
    leaves.toSorted((a, b) => a - b),
    'in the order in which it happened',
  );
  assert.ok(there.taken.every((jti) => jti.startsWith(`${stream.stream_id}.`)));
  assert.equal(there.most.atOnce, 1, 'never two at once');
  // What was on its way when its process died may come once more.
  assert.ok(there.taken.length <= STOPS + 20, `${there.taken.length}`);
});
