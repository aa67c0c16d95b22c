/** Every algorithm that authorities can have, from the command line to mutual TLS between two agents. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { type TLSSocket, connect as tlsConnect } from 'node:tls';
import type { OperatorCredential } from '../../src/cli/credential.ts';
import type { KeyAlgorithm } from '../../src/keys/generate.ts';
import { connect } from '../../src/sdk/enrolment/connect.ts';
import type { Identity } from '../../src/sdk/identity/identity.ts';
import { openssl, pathOf, skipOf } from '../interop/tools.ts';
import { type TestServer, testServer } from '../server.ts';

const OPENSSL = openssl();

/** What a chain looks like whose authorities have keys of a kind: the kinds of all keys in it, the leaf's first. */
const KEYS: readonly (readonly [KeyAlgorithm, leaf: string, authority: string])[] = [
  ['ecdsa-p256', 'prime256v1', 'prime256v1'],
  ['ecdsa-p384', 'prime256v1', 'secp384r1'],
  ['ed25519', 'prime256v1', 'ed25519'],
  ['ml-dsa-65', 'ml-dsa-65', 'ml-dsa-65'],
];

for (const [algorithm, leafKey, authorityKey] of KEYS) {
  test(`${algorithm}: enrol, mutual TLS, renew, verify`, async () => {
    const server = await testServer({ args: ['--algorithm', algorithm, '--trust-domain', 'agents.example.com'] });
    const [planner, executor] = [await identityOf(server, 'planner'), await identityOf(server, 'executor')];
    assert.equal(await greet(executor, planner), `${executor.spiffeId} meets ${planner.spiffeId}`);
    const before = planner.credential;
    const after = await planner.renew();
    assert.notEqual(after.serial, before.serial);
    assert.equal(after.spiffeId, before.spiffeId);
    assert.equal(await greet(planner, executor), `${planner.spiffeId} meets ${executor.spiffeId}`);

    const chain = [after.certificate, ...after.chain, after.roots[0]!].map((pem) => new X509Certificate(pem));
    assert.deepEqual(chain.map(kindOf), [leafKey, authorityKey, authorityKey, authorityKey]);
    chain.forEach((certificate, n) => {
      assert.ok(certificate.verify((chain[n + 1] ?? certificate).publicKey), `certificate ${n} of the chain`);
    });
    // Debian's OpenSSL is older than ML-DSA; there the one in Node has judged, above and in both handshakes.
    if (skipOf(OPENSSL) === false && !algorithm.startsWith('ml-dsa')) verifyWithOpenssl(server.scratch, after);

    // Writ's own certificates are no weaker than what they speak for.
    const operator = JSON.parse(readFileSync(server.operator, 'utf8')) as OperatorCredential;
    assert.equal(kindOf(new X509Certificate(operator.chain[0]!)), leafKey);
    assert.equal(await serverKey(server, operator), leafKey);
    for (const identity of [planner, executor]) identity.close();
    await server.stop();
    const verified = await server.json<{ verified: boolean; findings: unknown[] }>('ledger', 'verify');
    assert.deepEqual([verified.verified, verified.findings], [true, []]);
  });
}

/** The kind of the key with which the server shows itself. */
async function serverKey({ api }: TestServer, { roots }: OperatorCredential): Promise<string> {
  const { hostname: host, port } = new URL(api);
  const socket = tlsConnect({ host, port: Number(port), ca: [...roots] });
  await once(socket, 'secureConnect');
  const kind = kindOf(socket.getPeerX509Certificate()!);
  socket.destroy();
  return kind;
}

async function identityOf(server: TestServer, agent: string): Promise<Identity> {
  return connect({ token: await server.token(agent) });
}

/** `caller` asks `host` who they both are, over mutual TLS in which each accepts the other by agent. */
async function greet(caller: Identity, host: Identity): Promise<string> {
  const agentOf = ({ spiffeId }: Identity): string => spiffeId.split('/').slice(3, -1).join('/');
  const listener = createServer(host.serverOptions(), (request, response) => {
    const { subjectAltName } = (request.socket as TLSSocket).getPeerX509Certificate()!;
    response.end(`${subjectAltName!.slice('URI:'.length)} meets ${host.spiffeId}`);
  });
  host.protect(listener, { allow: `${agentOf(caller)}/*` });
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  try {
    const { port } = listener.address() as AddressInfo;
    const answer = await caller.fetch({ allow: `${agentOf(host)}/*` })(`https://127.0.0.1:${port}/`);
    return await answer.text();
  } finally {
    listener.closeAllConnections();
    listener.close();
  }
}

function kindOf({ publicKey }: X509Certificate): string {
  return publicKey.asymmetricKeyDetails?.namedCurve ?? publicKey.asymmetricKeyType!;
}

function verifyWithOpenssl(scratch: string, { certificate, chain, roots }: Identity['credential']): void {
  const file = (name: string, text: string): string => {
    writeFileSync(join(scratch, name), text);
    return join(scratch, name);
  };
  const args = [
    '-CAfile',
    file('root', roots[0]!),
    '-untrusted',
    file('chain', chain.join('')),
    '-purpose',
    'sslserver',
  ];
  const leaf = file('leaf', certificate);
  assert.match(execFileSync(pathOf(OPENSSL), ['verify', '-x509_strict', ...args, leaf], { encoding: 'utf8' }), /: OK/);
}
