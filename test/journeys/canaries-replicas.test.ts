/** Canaries at two replicas on PostgreSQL: stopped at one, refused at a point that follows the other, known to both. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { after, test } from 'node:test';
import { CanaryRunner, connect, createVerifier } from '../../src/sdk/entry.ts';
import type { Canary } from '../../src/wire/canary.ts';
import { postgresMissing, startPostgres } from '../postgres.ts';
import { operatorClient } from './clients.ts';
import { newSite } from './replica.ts';

const skip = postgresMissing() ?? false;
const OWNER = { team: 'journeys', sponsor: 'sponsor@example.com' } as const;

test('a canary that one replica stops is refused where the feed of the other is followed', { skip }, async () => {
  const postgres = await startPostgres();
  const site = await newSite(await postgres.database());
  const [here, there] = [site.machine(), site.machine()];
  const [one, other] = [await here.start(), await there.start()];
  const [near, far] = [operatorClient(here.operator, one.api), operatorClient(here.operator, other.api)];
  const closing: (() => void)[] = [() => near.close(), () => far.close()];
  after(async () => {
    for (const close of closing) close();
    await postgres.stop('immediate');
  });
  for (const [name, labels] of [
    ['gateway', {}],
    ['canary', { canary: 'true' }],
  ] as const) {
    const body = { name, owner: OWNER, purpose: 'measures', labels };
    await near.json({ method: 'POST', path: '/v1/agents', body });
  }
  const instanceOf = async (agent: string) => {
    const { token } = await near.json<{ token: string }>({ method: 'POST', path: '/v1/tokens', body: { agent } });
    const identity = await connect({ token });
    closing.push(() => identity.close());
    return identity;
  };
  const gateway = await instanceOf('gateway');
  const verifier = createVerifier({ identity: gateway, mode: 'strict', server: other.api });
  closing.push(() => verifier.close());
  await verifier.ready(AbortSignal.timeout(20_000));
  const allow = 'agent/canary/*';
  const listener = createServer(
    verifier.serverOptions(),
    verifier.guard((_, answer) => answer.end('yes'), { allow }),
  );
  verifier.protect(listener, { allow });
  listener.on('tlsClientError', () => undefined);
  await once(listener.listen(0, '127.0.0.1'), 'listening');
  closing.push(() => {
    listener.close();
    listener.closeAllConnections();
  });

  const url = `https://127.0.0.1:${(listener.address() as AddressInfo).port}/`;
  const point = { point: 'gateway-1', url, peer: 'agent/gateway/*' };
  const identity = await instanceOf('canary');
  for (const server of [one.api, other.api]) {
    const runner = new CanaryRunner({ identity, server, points: [point] });
    const report = await runner.probe(point);
    runner.close();
    assert.equal(report.verdict, 'refused', JSON.stringify(report));
  }
  for (const operator of [near, far]) {
    const { items } = await operator.json<{ items: Canary[] }>({ path: '/v1/feed/canaries' });
    const known = items.map(({ status, samples, successes, failures }) => [status, samples, successes, failures]);
    assert.deepEqual(known, [['well', 2, 2, 0]]);
  }
});
