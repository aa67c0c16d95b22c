/** Mutual TLS between Node's OpenSSL on both ends: its own path validation, every algorithm, names and identities. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { connect, createServer, type TLSSocket } from 'node:tls';
import { issueLeaf, leafRequest, makeChain, scopeOf, TRUST_DOMAIN } from '../../src/ca/testdata/installation.ts';
import { encodePem } from '../../src/der/pem.ts';
import { generateKey, KEY_ALGORITHMS } from '../../src/keys/generate.ts';
import { localSigner } from '../../src/keys/local.ts';
import type { Credential } from '../../src/sdk/identity/credential.ts';
import { Identity } from '../../src/sdk/identity/identity.ts';
import { peerOf, spiffeIdOf } from '../../src/sdk/peer/peer.ts';
import { serverId } from '../../src/spiffe-id/subject.ts';
import { parseCertificate } from '../../src/x509/certificate.ts';
import { parseIpAddress } from '../../src/x509/path/ip-address.ts';
import { parsePublicKey } from '../../src/x509/public-key.ts';
import { BELOW, forgeLeaf } from './certificates.ts';

for (const algorithm of KEY_ALGORITHMS) {
  test(`${algorithm}: server and agent accept each other`, async () => {
    const now = Date.now();
    const chain = await makeChain(algorithm, scopeOf({ loopback: true }), now);
    const pem = (...ders: readonly Uint8Array[]): string => ders.map((der) => encodePem('CERTIFICATE', der)).join('');
    const ca = pem(chain.root.certificate.raw);
    const identity = async (profile: string, change: object): Promise<{ key: string; cert: string; ca: string }> => {
      const key = await generateKey(algorithm);
      const request = { ...(await leafRequest(change)), key: parsePublicKey(localSigner(key).spki) };
      const { der } = await issueLeaf(chain, request, { profile, now });
      const cert = pem(der, chain.issuing.certificate.raw, chain.intermediate.certificate.raw);
      return { key: key.export({ type: 'pkcs8', format: 'pem' }) as string, cert, ca };
    };
    const names = { id: serverId(TRUST_DOMAIN), dns: ['localhost'], addresses: [parseIpAddress('127.0.0.1')!] };
    const server = createServer({ ...(await identity('server', names)), requestCert: true, rejectUnauthorized: true });
    const accepted = once(server, 'secureConnection') as Promise<[TLSSocket]>;
    await once(server.listen(0, '127.0.0.1'), 'listening');
    try {
      const { port } = server.address() as AddressInfo;
      const client = connect({ port, host: '127.0.0.1', ...(await identity('agent', {})) });
      await once(client, 'secureConnect');
      assert.ok(client.authorized, String(client.authorizationError));
      const [peer] = await accepted;
      assert.ok(peer.authorized);
      assert.match(
        peer.getPeerX509Certificate()!.subjectAltName!,
        /^URI:spiffe:\/\/agents\.example\.com\/agent\/planner\//,
      );
      client.destroy();
      peer.destroy();
    } finally {
      server.close();
    }
    for (const [child, parent] of [
      [chain.issuing, chain.intermediate],
      [chain.intermediate, chain.root],
      [chain.root, chain.root],
    ] as const) {
      const [a, b] = [child, parent].map(({ certificate }) => new X509Certificate(certificate.raw)) as [
        X509Certificate,
        X509Certificate,
      ];
      assert.ok(a.verify(b.publicKey) && a.checkIssued(b) && a.ca);
    }
  });
}

/** Where Go's path validation takes such a name (docs/HIERARCHY.md). */
test('the client library takes nobody of a trust domain below, though our authority had signed it', async () => {
  const now = Date.now();
  const chain = await makeChain('ecdsa-p256', scopeOf({ loopback: true }), now);
  const pem = (der: Uint8Array): string => encodePem('CERTIFICATE', der);
  const identity = async (id?: string): Promise<Identity> => {
    const { der, key } = await forgeLeaf(chain, [{ kind: 'dns', value: 'localhost' }], id);
    const { serial, notBefore, notAfter } = parseCertificate(der);
    const credential: Credential = {
      ...{ key, spiffeId: id ?? spiffeIdOf(der).uri, serial: Buffer.from(serial).toString('hex') },
      certificate: pem(der),
      chain: [chain.issuing, chain.intermediate].map(({ certificate }) => pem(certificate.raw)),
      roots: [pem(chain.root.certificate.raw)],
      ...{ notBefore, notAfter, renewAfter: notAfter },
    };
    return new Identity(credential, { renew: async () => credential, stop: async () => {}, close() {} });
  };
  const [ours, others, below] = [await identity(), await identity(), await identity(BELOW)];
  /** Whom the server saw, and what the client met. */
  const meet = async (client: Identity, server: Identity): Promise<readonly [string, string]> => {
    let seen = 'nobody';
    const listening = createServer(server.serverOptions(), (socket) => {
      seen = peerOf(socket)?.uri ?? 'nobody';
      socket.on('error', () => {});
      socket.end('welcome');
    });
    listening.on('tlsClientError', () => {});
    server.protect(listening, { allow: () => true });
    await once(listening.listen(0, '127.0.0.1'), 'listening');
    const { port } = listening.address() as AddressInfo;
    const socket = connect({ port, host: '127.0.0.1', ...client.clientOptions({ allow: () => true }) });
    let text = '';
    try {
      for await (const part of socket) text += String(part);
    } catch (error) {
      text = (error as NodeJS.ErrnoException).code ?? 'error';
    }
    listening.close();
    return [seen, text];
  };
  assert.deepEqual(await meet(ours, others), [ours.spiffeId, 'welcome']);
  const [, refused] = await meet(ours, below);
  assert.match(refused, /^(PERMITTED_VIOLATION|ERR_SSL|UNSPECIFIED)/);
  const [seen, text] = await meet(below, ours);
  assert.equal(seen, 'nobody');
  assert.notEqual(text, 'welcome');
});
