/** Peers of other trust domains over TLS: each is believed by the roots of the domain that it names and by no others. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { after, test } from 'node:test';
import { until } from '../../../test/feed.ts';
import { decodePem } from '../../der/pem.ts';
import { testAuthority } from '../../http/testdata/authority.ts';
import type { Credential } from '../identity/credential.ts';
import { Identity } from '../identity/identity.ts';
import { issuer } from '../identity/testdata/identities.ts';
import { fromWorkloadApi, type WorkloadIdentity } from './identity.ts';
import { svidOf, testDaemon } from './testdata/daemon.ts';

const made = issuer();
const partner = testAuthority('Partner Root');
const issuing = partner.authority('Partner Issuing');
const other = testAuthority('Other Root');
const closing: (() => unknown)[] = [];
after(async () => {
  for (const close of closing.reverse()) await close();
});
const bundleOf = (...pems: readonly string[]): Uint8Array =>
  Buffer.concat(pems.map((pem) => decodePem(pem, 'CERTIFICATE')));
const BUNDLES = {
  'spiffe://partner.example': bundleOf(partner.pem),
  'spiffe://other.example': bundleOf(other.pem),
};

/** Somebody whom the partner's authority names like this, and who trusts everybody here. */
function named(uri: string): Identity {
  const { key, pem } = issuing.leaf({ uri, dns: ['localhost'], loopback: true });
  const base = made.credential('service/db/1');
  const roots = [partner.pem, ...base.roots];
  const credential: Credential = { ...base, key, certificate: pem, chain: [issuing.pem], roots, spiffeId: uri };
  const identity = new Identity(credential, { renew: async () => credential, stop: async () => {}, close() {} });
  closing.push(() => identity.close());
  return identity;
}

async function serve(identity: Identity | WorkloadIdentity, allow: () => boolean = () => true): Promise<string> {
  const server = createServer(identity.serverOptions(), (_, answer) => answer.end('yes'));
  identity.protect(server, { allow });
  server.on('tlsClientError', () => {});
  await once(server.listen(0, '127.0.0.1'), 'listening');
  closing.push(() => {
    server.close();
    server.closeAllConnections();
  });
  return `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const daemon = await testDaemon();
closing.push(() => daemon.close());
daemon.say({ svids: [svidOf(made.credential('agent/planner/1'))], federated_bundles: BUNDLES });
const own = async (federation?: boolean): Promise<WorkloadIdentity> => {
  const identity = await fromWorkloadApi({
    socket: daemon.socket,
    ...(federation === undefined ? {} : { federation }),
  });
  closing.push(() => identity.close());
  return identity;
};
const anybody = (): boolean => true;
const reaches = async (from: Identity | WorkloadIdentity, url: string, allow: string | (() => boolean) = anybody) => {
  try {
    return await (await from.fetch({ allow })(url)).text();
  } catch {
    return 'refused';
  }
};

test('a partner is believed about itself alone, at either end', async () => {
  const identity = await own(true);
  const url = await serve(identity);
  const colleague = made.identity('service/db/1');
  closing.push(() => colleague.close());
  assert.equal(await reaches(colleague, url), 'yes');
  for (const [uri, want] of [
    ['spiffe://partner.example/service/db/1', 'yes'],
    // Our own trust domain, another partner's, and one that nobody knows.
    ['spiffe://agents.example.com/service/db/1', 'refused'],
    ['spiffe://other.example/service/db/1', 'refused'],
    ['spiffe://nobody.example/service/db/1', 'refused'],
  ] as const) {
    const peer = named(uri);
    assert.equal(await reaches(peer, url), want, `${uri} as a client`);
    assert.equal(await reaches(identity, await serve(peer)), want, `${uri} as a server`);
  }
  const peer = await serve(named('spiffe://partner.example/service/db/1'));
  assert.equal(await reaches(identity, peer, 'spiffe://partner.example/service/db/*'), 'yes');
  assert.equal(await reaches(identity, peer, 'spiffe://partner.example/service/bank/*'), 'refused');
  // By host name nobody of another trust domain is accepted.
  await assert.rejects(identity.fetch()(peer));
});

test('unless it is asked for, our own trust domain alone is believed', async () => {
  const identity = await own();
  const peer = named('spiffe://partner.example/service/db/1');
  assert.deepEqual([...identity.federated.keys()].sort(), ['other.example', 'partner.example']);
  assert.equal(await reaches(peer, await serve(identity)), 'refused');
  assert.equal(await reaches(identity, await serve(peer)), 'refused');
});

test('a partner that is given up is believed no more, also by servers that run', async () => {
  const identity = await own(true);
  const url = await serve(identity);
  const peer = named('spiffe://partner.example/service/db/1');
  assert.equal(await reaches(peer, url), 'yes');
  daemon.say({
    svids: [svidOf(made.credential('agent/planner/1'))],
    federated_bundles: { 'spiffe://other.example': BUNDLES['spiffe://other.example'] },
  });
  await until(() => identity.federated.size === 1);
  assert.equal(await reaches(named(peer.spiffeId), url), 'refused');
  assert.equal(await reaches(identity, await serve(peer)), 'refused');
});

test('a bundle that is given out as that of our own trust domain changes nothing about who belongs to us', async () => {
  daemon.say({
    svids: [svidOf(made.credential('agent/planner/1'))],
    federated_bundles: { ...BUNDLES, 'spiffe://agents.example.com': bundleOf(partner.pem) },
  });
  const identity = await own(true);
  const [url, colleague] = [await serve(identity), made.identity('service/db/1')];
  closing.push(() => colleague.close());
  const forged = named('spiffe://agents.example.com/service/db/1');
  assert.deepEqual(await Promise.all([colleague, forged].map((one) => reaches(one, url))), ['yes', 'refused']);
  const [ours, theirs] = await Promise.all([colleague, forged].map((one) => serve(one)));
  assert.deepEqual([await reaches(identity, ours!), await reaches(identity, theirs!)], ['yes', 'refused']);
});
