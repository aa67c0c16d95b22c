/** A stop is about names of our own trust domain: a partner's peer of the same name goes on, at either end. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import * as https from 'node:https';
import type { AddressInfo } from 'node:net';
import { after, test } from 'node:test';
import type { Server } from 'node:tls';
import { until } from '../../../test/feed.ts';
import { testServer } from '../../../test/server.ts';
import { decodePem } from '../../der/pem.ts';
import { testAuthority } from '../../http/testdata/authority.ts';
import { connect } from '../enrolment/connect.ts';
import { Identity } from '../identity/identity.ts';
import { createVerifier } from '../verifier/verifier.ts';
import { fromWorkloadApi } from './identity.ts';
import { svidOf, testDaemon } from './testdata/daemon.ts';

const closing: (() => unknown)[] = [];
after(async () => {
  for (const close of closing.reverse()) await close();
});
const authority = await testServer();
const partner = testAuthority('Partner Root');
const issuing = partner.authority('Partner Issuing');
const anybody = { allow: (): boolean => true };

/** A peer that the partner's authority names like one of ours, and who trusts us. */
function namesake(of: Identity): Identity {
  const uri = of.spiffeId.replace(/^spiffe:\/\/[^/]+/, 'spiffe://partner.example');
  const { key, pem } = issuing.leaf({ uri, dns: ['localhost'], loopback: true });
  const roots = [partner.pem, ...of.roots];
  const credential = { ...of.credential, key, certificate: pem, chain: [issuing.pem], roots, spiffeId: uri };
  const made = new Identity(credential, { renew: async () => credential, stop: async () => {}, close() {} });
  closing.push(() => made.close());
  return made;
}

async function listening(server: https.Server): Promise<number> {
  server.on('tlsClientError', () => {});
  await once(server.listen(0, '127.0.0.1'), 'listening');
  closing.push(() => {
    server.close();
    server.closeAllConnections();
  });
  return (server.address() as AddressInfo).port;
}

/** Asks over one connection, which is kept; gives the status, or the code of what went wrong. */
function asking(identity: Identity, port: number): () => Promise<number | string> {
  const agent = new https.Agent({ ...identity.clientOptions(anybody), keepAlive: true, maxSockets: 1 });
  closing.push(() => agent.destroy());
  return () =>
    new Promise((resolve) => {
      https
        .get({ port, host: '127.0.0.1', agent }, (answer) =>
          answer.resume().on('end', () => resolve(answer.statusCode!)),
        )
        .on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    });
}

test('ours is refused and a partner’s peer of the same agent and instance is not, as client and as server', async () => {
  const daemon = await testDaemon();
  closing.push(() => daemon.close());
  const [gateway, planner] = [
    await connect({ token: await authority.token('gateway', 'service') }),
    await connect({ token: await authority.token('planner') }),
  ];
  closing.push(
    () => gateway.close(),
    () => planner.close(),
  );
  const bundle = Buffer.from(decodePem(partner.pem, 'CERTIFICATE'));
  daemon.say({ svids: [svidOf(gateway.credential)], federated_bundles: { 'spiffe://partner.example': bundle } });
  const identity = await fromWorkloadApi({ socket: daemon.socket, federation: true });
  closing.push(() => identity.close());
  const verifier = createVerifier({ identity, mode: 'available', server: authority.api });
  closing.push(() => verifier.close());
  await verifier.ready(AbortSignal.timeout(20_000));

  const guarded = https.createServer(
    verifier.serverOptions(),
    verifier.guard((_, answer) => answer.end('yes'), anybody),
  );
  verifier.protect(guarded, anybody);
  let connections = 0;
  guarded.on('secureConnection', () => connections++);
  const port = await listening(guarded);
  const other = namesake(planner);
  const [ours, theirs] = [asking(planner, port), asking(other, port)];
  assert.deepEqual([await ours(), await theirs()], [200, 200]);

  const served = async (by: Identity): Promise<number> => {
    const server = https.createServer(by.serverOptions(), (_, answer) => answer.end('yes'));
    by.protect(server as Server, anybody);
    return listening(server);
  };
  const [own, foreign] = [await served(planner), await served(other)];
  const fetch = verifier.fetch(anybody);
  const reaches = (at: number): Promise<string> =>
    fetch(`https://127.0.0.1:${at}`).then(
      (answer) => answer.text(),
      () => 'refused',
    );
  assert.deepEqual([await reaches(own), await reaches(foreign)], ['yes', 'yes']);

  await authority.json('agent', 'retire', 'planner', '--cause', 'task_completed', '--yes');
  const instance = planner.spiffeId.split('/').at(-1)!;
  for (const subject of ['agent:planner', `instance:${instance}`]) {
    await until(() => verifier.fallen([subject]) === 'stopped', 20_000);
  }
  assert.notEqual(await ours(), 200);
  assert.equal(await reaches(own), 'refused');
  const before = connections;
  assert.equal(await theirs(), 200);
  assert.equal(connections, before, 'the partner’s connection was not closed');
  assert.equal(await asking(other, port)(), 200);
  assert.equal(await reaches(foreign), 'yes');
});
