/** Enforcement points at two replicas: what is stopped at one is refused at both, and who loses its side knows. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import * as https from 'node:https';
import type { AddressInfo } from 'node:net';
import { after, test } from 'node:test';
import * as tls from 'node:tls';
import { connect } from '../../src/sdk/enrolment/connect.ts';
import { feedWire } from '../../src/sdk/feed/testdata/wire.ts';
import type { Identity } from '../../src/sdk/identity/identity.ts';
import { createVerifier, type Verifier } from '../../src/sdk/verifier/verifier.ts';
import { postgresMissing, startPostgres } from '../postgres.ts';
import { operatorClient } from './clients.ts';
import { newSite } from './replica.ts';

const skip = postgresMissing() ?? false;
const OWNER = { team: 'journeys', sponsor: 'sponsor@example.com' } as const;
const DEADLINE_MS = 5000;

async function until(what: () => boolean, ms = DEADLINE_MS): Promise<number> {
  const begun = performance.now();
  while (!what()) {
    assert.ok(performance.now() - begun < ms, `not within ${ms} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return performance.now() - begun;
}

test('what one replica stops, the points of both refuse; a lost replica or database is noticed', {
  skip,
}, async (t) => {
  const postgres = await startPostgres();
  const site = await newSite(await postgres.database());
  const [here, there] = [site.machine(), site.machine()];
  const [one, other] = [await here.start(), await there.start()];
  const operator = operatorClient(here.operator, one.api);
  const identities: Identity[] = [];
  const verifiers: Verifier[] = [];
  after(async () => {
    for (const made of verifiers) made.close();
    for (const identity of identities) identity.close();
    operator.close();
    await postgres.stop('immediate');
  });
  for (const name of ['gateway', 'planner']) {
    await operator.json({ method: 'POST', path: '/v1/agents', body: { name, owner: OWNER, purpose: 'is stopped' } });
  }
  const instanceOf = async (agent: string): Promise<Identity> => {
    const { token } = await operator.json<{ token: string }>({ method: 'POST', path: '/v1/tokens', body: { agent } });
    const identity = await connect({ token });
    identities.push(identity);
    return identity;
  };
  const gateway = await instanceOf('gateway');
  const pointAt = async (server: string): Promise<Verifier> => {
    const made = createVerifier({ identity: gateway, mode: 'strict', server, strictMs: 2500 });
    verifiers.push(made);
    await made.ready(AbortSignal.timeout(10_000));
    return made;
  };
  const [near, far] = [await pointAt(one.api), await pointAt(other.api)];
  const accepting = tls.createServer(gateway.serverOptions());
  await once(accepting.listen(0, '127.0.0.1'), 'listening');
  const { port } = accepting.address() as AddressInfo;
  after(() => accepting.close());
  const seen = async (identity: Identity): Promise<tls.TLSSocket> => {
    const accepted = once(accepting, 'secureConnection');
    const socket = tls.connect({ port, host: '127.0.0.1', ...identity.clientOptions({ allow: 'agent/gateway/*' }) });
    const [met] = (await accepted) as [tls.TLSSocket];
    after(() => [socket, met].map((end) => end.on('error', () => {}).destroy()));
    return met;
  };
  const revoke = ({ credential }: Identity): Promise<unknown> =>
    operator.json({
      method: 'POST',
      path: `/v1/certificates/${credential.serial}/revoke`,
      body: { cause: 'key_theft' },
    });
  const says = (made: Verifier, socket: tls.TLSSocket): string => {
    const decision = made.authorize(socket);
    return decision.allowed ? 'allowed' : decision.reason;
  };

  const planners = [await instanceOf('planner'), await instanceOf('planner'), await instanceOf('planner')];
  const sockets: tls.TLSSocket[] = [];
  for (const planner of planners) sockets.push(await seen(planner));
  for (const made of [near, far]) for (const socket of sockets) assert.equal(says(made, socket), 'allowed');
  await revoke(planners[0]!);
  const took = await until(() => [near, far].every((made) => says(made, sockets[0]!) === 'stopped'));
  t.diagnostic(`refused at both after ${took.toFixed(0)} ms`);

  // A relay that goes over from one replica to the other: each signs with a key of its own, and nothing is missed between.
  const wire = await feedWire(one.api);
  const relaying = createVerifier({ identity: gateway, mode: 'strict', server: wire.server });
  const listener = https.createServer(relaying.serverOptions());
  relaying.relay(listener, { allow: 'agent/gateway/*' });
  await once(listener.listen(0, '127.0.0.1'), 'listening');
  const feed = `https://127.0.0.1:${(listener.address() as AddressInfo).port}`;
  const behind = createVerifier({ identity: gateway, mode: 'strict', feed, relays: 'agent/gateway/*' });
  verifiers.push(relaying, behind);
  after(() => {
    wire.close();
    listener.close();
    listener.closeAllConnections();
  });
  await behind.ready(AbortSignal.timeout(10_000));
  const between = [await instanceOf('planner'), await instanceOf('planner')];
  const ends = [await seen(between[0]!), await seen(between[1]!)];
  assert.deepEqual(
    ends.map((socket) => says(behind, socket)),
    ['allowed', 'allowed'],
  );
  wire.cut();
  await revoke(between[0]!);
  wire.mend(other.api);
  await until(() => says(behind, ends[0]!) === 'stopped');
  await revoke(between[1]!);
  await until(() => says(behind, ends[1]!) === 'stopped', 1000);
  assert.ok(behind.well);
  for (const made of [behind, relaying]) made.close();

  // The other replica dies: its point knows, and learns what it missed from the first.
  await other.kill();
  await revoke(planners[1]!);
  assert.equal(await until(() => says(near, sockets[1]!) === 'stopped').then(() => 'stopped'), 'stopped');
  await until(() => says(far, sockets[2]!) === 'stale');
  const moved = await pointAt(one.api);
  assert.equal(says(moved, sockets[1]!), 'stopped');

  // Without the database the server still talks, but its word does not count.
  await postgres.stop('immediate');
  await until(() => says(near, sockets[2]!) === 'stale', 8000);
  await postgres.start();
  await until(() => says(near, sockets[2]!) === 'allowed', 15_000);
  assert.equal(says(near, sockets[1]!), 'stopped');
});
