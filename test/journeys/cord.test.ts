/** Pulling the cord with the command line, over the real server: on whom, by whom, and how it is let go. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { Client } from '../../src/http/client.ts';
import { cli, type Said, testServer } from '../server.ts';
import { clientOf, enrol, type Leaf, operatorClient, rootsIn, whoami } from './clients.ts';
import { addPeople, administer } from './people.ts';

const first = await testServer();
const config = join(first.data, 'config.json');
writeFileSync(config, JSON.stringify({ ...(JSON.parse(readFileSync(config, 'utf8')) as object), massStop: 2 }));
const server = await first.restart();
const roots = rootsIn(server.operator);
const open = clientOf(server.api, roots);
const admin = operatorClient(server.operator, server.api);
after(() => [open, admin].map((client) => client.close()));

const at = (name: string): string => join(server.scratch, `${name}.json`);
await addPeople(server, ['bob', 'grace'], ['ca-officers', 'security']);
const as =
  (name: string) =>
  (...argv: string[]): Promise<Said> =>
    cli([...argv, '--json'], { operator: at(name), server: server.api, data: server.data });
const [bob, grace] = [as('bob'), as('grace')];

/** The code of the refusal; undefined when there is none. */
const refused = (client: Client): Promise<string | undefined> =>
  whoami(client).then(
    () => undefined,
    (error: { code?: string }) => error.code,
  );

interface Stop {
  readonly id: string;
  readonly state: string;
  readonly awaits_second_person: boolean;
  readonly authority: readonly string[];
  readonly falls?: { readonly instances: readonly string[]; readonly needs_second_person: boolean };
}

/** A newcomer with a connection that stays open. */
async function newcomer(agent: string): Promise<{ leaf: Leaf; client: Client }> {
  const leaf = await enrol(open, await server.token(agent));
  const client = clientOf(server.api, roots, leaf);
  after(() => client.close());
  await whoami(client);
  return { leaf, client };
}

test('a quarantine reaches connections that are open, and goes with the consent of two others', async () => {
  const [{ leaf, client }, beside] = [await newcomer('planner'), await newcomer('writer')];
  const how = ['--cause', 'session_replay', '--quarantine', '--evidence', 'https://soc.example.com/7'];
  const planned = await server.json<Stop>('stop', 'agent', 'planner', ...how, '--dry-run');
  assert.deepEqual(planned.falls?.instances, [leaf.instance]);
  await whoami(client);

  const stop = await server.json<Stop>('stop', 'agent', 'planner', ...how);
  assert.deepEqual([stop.state, stop.authority], ['quarantined', ['security-pulls-the-cord']]);
  assert.equal(await refused(client), 'inactive');
  await whoami(beside.client);
  assert.equal((await server.json<Stop>('stop', 'agent', 'planner', ...how)).id, stop.id);

  const release = (...more: string[]) => server.cli('release', stop.id, ...more, '--json');
  const asked = await release('--request-approval', 'it was a false alarm');
  assert.equal(asked.code, 6, asked.stderr);
  const { error } = JSON.parse(asked.stderr.trim().split('\n').at(-1)!) as { error: { approval: { id: string } } };
  for (const officer of [bob, grace]) assert.equal((await officer('approval', 'approve', error.approval.id)).code, 0);
  assert.equal(await refused(client), 'inactive');
  const released = await release('--approval', error.approval.id);
  assert.equal(released.code, 0, released.stderr);
  await whoami(client);
});

test('a mass stop holds at once, and another person makes it for ever', async () => {
  const fleet = [await newcomer('fleet'), await newcomer('fleet'), await newcomer('fleet')];
  const stop = await server.json<Stop>('stop', 'agent', 'fleet', '--cause', 'policy_change', '--yes');
  assert.deepEqual([stop.state, stop.awaits_second_person], ['quarantined', true]);
  for (const { client } of fleet) assert.equal(await refused(client), 'inactive');
  assert.equal((await server.cli('stop', 'confirm', stop.id, '--yes', '--json')).code, 5);
  const confirmed = await bob('stop', 'confirm', stop.id, '--yes', '--wait');
  assert.equal(confirmed.code, 0, confirmed.stderr);
  assert.match(confirmed.stderr, /No enforcement point is connected to this server\./);
  assert.equal((JSON.parse(confirmed.stdout) as Stop).state, 'revoked');
  for (const { client } of fleet) assert.equal(await refused(client), 'revoked');
});

test('who is in no group stops what names them as its sponsor, and nothing beside it', async () => {
  const added = ['operator', 'add', 'dave', '--out', at('dave'), '--email', 'dave@example.com'];
  assert.equal((await administer(server, added, [server.operator, at('bob')])).code, 0);
  const dave = as('dave');
  const [{ leaf, client }, beside] = [await newcomer('sponsored'), await newcomer('beside')];
  const quarantine = (agent: string) => dave('stop', 'agent', agent, '--cause', 'policy_change', '--quarantine');
  assert.equal((await quarantine('sponsored')).code, 5, 'not yet');
  const names = ['agent', 'update', 'sponsored', '--sponsor', 'dave@example.com'];
  assert.equal((await dave(...names)).code, 5, 'nobody makes it their own');
  await server.json(...names);

  const held = await quarantine('sponsored');
  assert.equal(held.code, 0, held.stderr);
  const { id, authority } = JSON.parse(held.stdout) as Stop;
  assert.deepEqual(authority, ['a-sponsor-stops-their-own']);
  assert.equal(await refused(client), 'inactive');
  assert.equal((await dave('release', id)).code, 6, 'letting go takes others');
  assert.equal((await quarantine('beside')).code, 5);
  await whoami(beside.client);
  const stopped = await dave('instance', 'stop', leaf.instance, '--cause', 'decommissioned', '--yes');
  assert.equal(stopped.code, 0, stopped.stderr);
  assert.equal(await refused(client), 'revoked');
});

test('on the server’s machine a stop needs no operator', async () => {
  const { leaf, client } = await newcomer('kept');
  const child = await newcomer('kept');
  const how = ['--cause', 'session_replay', '--data', server.data, '--here', '--yes'];
  // Of a server that is away, too, as an installation may be that lets nobody in.
  const planned = await server.json<{ falls: { instances: string[] } }>(
    ...['stop', 'instance', leaf.instance, ...how, '--dry-run', '--server', 'https://127.0.0.1:9'],
  );
  assert.deepEqual(planned.falls.instances, [leaf.instance]);
  await whoami(client);
  const held = await server.json<Stop>('stop', 'instance', leaf.instance, ...how, '--quarantine');
  assert.equal(held.state, 'quarantined');
  assert.equal(await refused(client), 'inactive');
  await whoami(child.client);
  const ended = await server.json<Stop>('stop', 'agent', 'kept', ...how);
  assert.equal(ended.state, 'revoked');
  for (const one of [client, child.client]) assert.equal(await refused(one), 'revoked');
});

test('one call under one key stops once, and a restart changes nothing', async () => {
  const { leaf } = await newcomer('single');
  const body = { target: { kind: 'instance', name: leaf.instance }, cause: 'clone_detected' };
  const call = { method: 'POST', path: '/v1/stops', body, idempotencyKey: 'one-and-the-same-key' } as const;
  const [one, other] = await Promise.all([admin.json<Stop>(call), admin.json<Stop>(call)]);
  assert.deepEqual([one!.id, one!.state], [other!.id, 'revoked']);
  const again = await server.restart();
  const client = clientOf(again.api, roots, leaf);
  after(() => client.close());
  assert.equal(await refused(client), 'revoked');
});
