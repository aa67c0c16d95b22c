/** From an empty server to programs that are let in on evidence: over HTTP, with an issuer that answers over TLS. */
import assert from 'node:assert/strict';
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { encodePem } from '../../src/der/pem.ts';
import type { Client } from '../../src/http/client.ts';
import { boundOctets } from '../../src/wire/bound-octets.ts';
import { parseCsr } from '../../src/x509/csr.ts';
import { issue } from '../../src/x509/path/testdata/issue.ts';
import { testServer } from '../server.ts';
import { clientOf, csrFor, type Leaf, newKey, rootsIn } from './clients.ts';

let server = await testServer();

const config = JSON.parse(readFileSync(join(server.data, 'config.json'), 'utf8')) as object;
writeFileSync(
  join(server.data, 'config.json'),
  JSON.stringify({ ...config, attestation: { allowNetworks: ['127.0.0.0/8'] } }),
);
server = await server.restart();

const roots = rootsIn(server.operator);
const stranger = clientOf(server.open, roots);
const OWNER = ['--team', 'tests', '--sponsor', 'ada@example.com', '--purpose', 'tests'];
for (const name of ['planner', 'deployer']) await server.json('agent', 'register', name, ...OWNER);
await server.json('service', 'register', 'host', ...OWNER);

// An issuer as anybody runs one: discovery and keys over TLS.
const today = Math.floor(Date.now() / 1000) * 1000;
const validity = { notBefore: today - 86_400_000, notAfter: today + 86_400_000 };
const issuerRoot = issue('Issuer Root', { ca: true, ...validity });
const issuerLeaf = issue('localhost', {
  issuer: issuerRoot,
  names: [{ kind: 'dns', value: 'localhost' }],
  ...validity,
});
const pem = (raw: Uint8Array): string => encodePem('CERTIFICATE', raw);
const tokenKey = generateKeyPairSync('ec', { namedCurve: 'P-256' });
let asked = 0;
const site = createServer(
  {
    key: issuerLeaf.key.privateKey.export({ type: 'pkcs8', format: 'pem' }),
    cert: pem(issuerLeaf.certificate.raw),
  },
  (request, reply) => {
    asked++;
    const keys = { keys: [{ ...tokenKey.publicKey.export({ format: 'jwk' }), kid: 'k', alg: 'ES256', use: 'sig' }] };
    const found = request.url === '/keys' ? keys : { issuer, jwks_uri: `${issuer}/keys` };
    reply.setHeader('Content-Type', 'application/json').end(JSON.stringify(found));
  },
);
await new Promise<void>((ready) => site.listen(0, '127.0.0.1', ready));
after(() => site.close());
const issuer = `https://localhost:${(site.address() as AddressInfo).port}`;
const caFile = join(server.scratch, 'issuer.pem');
writeFileSync(caFile, pem(issuerRoot.certificate.raw));

function token(claims: object = {}): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const at = Math.floor(Date.now() / 1000);
  const body = {
    iss: issuer,
    aud: 'agents.example.com',
    sub: 'repo:example/app:main',
    iat: at,
    exp: at + 300,
    jti: `${Math.random()}`,
    ...claims,
  };
  const signed = `${part({ alg: 'ES256', typ: 'JWT', kid: 'k' })}.${part(body)}`;
  return `${signed}.${sign('sha256', Buffer.from(signed), { key: tokenKey.privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
}

async function svid(
  evidence: object,
  more: object = {},
  key: KeyObject = newKey(),
  client: Client = stranger,
): Promise<Leaf> {
  const body = { csr: await csrFor(key), evidence, ...more };
  return leafOf(await client.json<Answer>({ method: 'POST', path: '/v1/svid', body }), key);
}

/** What a request for a certificate was answered with. */
type Answer = Omit<Leaf, 'key' | 'id' | 'instance'> & { readonly spiffe_id: string };

function leafOf({ certificate, chain, serial, spiffe_id: id }: Answer, key: KeyObject): Leaf {
  return { key, certificate, chain, serial, id, instance: id.slice(id.lastIndexOf('/') + 1) };
}

const refusedWith = (wanted: string) => (error: unknown) => (error as { code: string }).code === wanted;

test('a workflow with a token of its issuer is let in, once, and renews like everybody', async () => {
  await server.json(
    'attestor',
    'add',
    'ci',
    '--kind',
    'oidc',
    '--set',
    `issuer=${issuer}`,
    '--set',
    'audience=agents.example.com',
    '--set',
    `ca=@${caFile}`,
  );
  const made = await server.json<{ id: string }>(
    'entry',
    'create',
    'deployer',
    '--attestor',
    'ci',
    '--match',
    'oidc:sub=repo:example/app:*',
    '--scope',
    'deploy',
  );
  const evidence = { kind: 'oidc', attestor: 'ci', token: token() };
  const leaf = await svid(evidence, { runtime: { tools_sha256: 'a'.repeat(64) } });
  assert.match(leaf.id, /\/agent\/deployer\/[0-9a-z]{26}$/);
  assert.equal(asked, 2, 'discovery and keys, once');
  await assert.rejects(svid(evidence), refusedWith('evidence_refused'));
  await assert.rejects(svid({ ...evidence, token: token({ aud: 'x' }) }), refusedWith('evidence_refused'));
  assert.equal(asked, 2);

  const own = clientOf(server.api, roots, leaf);
  const renew = async (runtime?: object) =>
    own.json({
      method: 'POST',
      path: '/v1/certificates/renew',
      body: { csr: await csrFor(newKey()), ...(runtime && { runtime }) },
    });
  await renew();
  await renew({ tools_sha256: 'a'.repeat(64) });
  await assert.rejects(renew({ tools_sha256: 'b'.repeat(64) }), refusedWith('inactive'));
  await assert.rejects(renew(), refusedWith('inactive'));
  const [stop] = (await server.json<{ items: Record<string, string>[] }>('stop', 'list')).items;
  assert.deepEqual(
    [stop?.['cause'], stop?.['state'], stop?.['stopped_by']],
    ['attestation_drift', 'quarantined', 'system:attestation'],
  );
  const shown = await server.cli('ledger', 'list', '--subject', `instance:${leaf.instance}`);
  assert.match(shown.stdout, /instance\.enrolled/);
  assert.match(shown.stdout, /instance\.changed/);
  const entries = await server.cli('ledger', 'list', '--subject', 'attestor:ci');
  assert.match(entries.stdout, /evidence\.refused/);
  await server.json('entry', 'remove', made.id);
  await assert.rejects(svid({ ...evidence, token: token() }), refusedWith('evidence_refused'));
});

test('a machine with a certificate of its factory proves its key, and what it lets in falls with it', async () => {
  const factory = issue('Factory', { ca: true, ...validity });
  const machine = issue('node-7', { issuer: factory, ...validity });
  const file = join(server.scratch, 'factory.pem');
  writeFileSync(file, pem(factory.certificate.raw));
  await server.json('attestor', 'add', 'factory', '--kind', 'x509pop', '--set', `roots=@${file}`);
  await server.json('entry', 'create', 'host', '--attestor', 'factory', '--match', 'x509:common_name=node-*');
  const { challenge } = (await stranger.json({
    method: 'POST',
    path: '/v1/attestation/challenges',
    body: { attestor: 'factory' },
  })) as { challenge: string };
  const key = newKey();
  const csr = await csrFor(key);
  const der = Buffer.from(csr.replaceAll(/-----[^-]+-----|\s/g, ''), 'base64');
  const signature = sign(null, boundOctets(challenge, parseCsr(der).publicKey.spki), machine.key.privateKey);
  const evidence = {
    kind: 'x509pop',
    attestor: 'factory',
    chain: [pem(machine.certificate.raw)],
    challenge,
    signature: signature.toString('base64'),
  };
  const answer = await stranger.json<Answer>({ method: 'POST', path: '/v1/svid', body: { csr, evidence } });
  const node = leafOf(answer, key);
  assert.match(node.id, /\/service\/host\//);

  const made = await server.json<{ id: string }>(
    'entry',
    'create',
    'planner',
    '--node',
    'host',
    '--match',
    'unix:uid=1000',
  );
  const asNode = clientOf(server.api, roots, node);
  const first = await asNode.send({ path: '/v1/entries/own' });
  assert.equal(first.status, 200);
  const { revision, entries } = JSON.parse(first.body.toString()) as { revision: number; entries: { id: string }[] };
  assert.deepEqual([revision, entries.map(({ id }) => id)], [1, [made.id]]);
  const etag = String(first.headers['etag']);
  assert.equal((await asNode.send({ path: '/v1/entries/own', headers: { 'If-None-Match': etag } })).status, 304);

  const childKey = newKey();
  const facts = { 'unix:uid': ['1000'], 'unix:sha256': ['aa'] };
  const child = leafOf(
    await asNode.json<Answer>({
      method: 'POST',
      path: '/v1/workloads',
      body: { csr: await csrFor(childKey), entry: made.id, facts },
    }),
    childKey,
  );
  assert.match(child.id, /\/agent\/planner\//);
  const renewal = { method: 'POST', path: `/v1/workloads/${child.instance}/renew` } as const;
  await asNode.json({ ...renewal, body: { csr: await csrFor(newKey()), facts } });
  await assert.rejects(
    clientOf(server.api, roots, child).json({ ...renewal, body: { csr: await csrFor(newKey()) } }),
    refusedWith('denied'),
  );
  const changed = { csr: await csrFor(newKey()), facts: { ...facts, 'unix:sha256': ['bb'] } };
  await assert.rejects(asNode.json({ ...renewal, body: changed }), refusedWith('inactive'));
  const held = await server.json<{ status: string }>('instance', 'show', child.instance);
  assert.equal(held.status, 'quarantined');

  const another = newKey();
  const more = leafOf(
    await asNode.json<Answer>({
      method: 'POST',
      path: '/v1/workloads',
      body: { csr: await csrFor(another), entry: made.id, facts },
    }),
    another,
  );
  await server.json('instance', 'stop', node.instance, '--yes');
  await assert.rejects(clientOf(server.api, roots, more).json({ path: '/v1/whoami' }), refusedWith('revoked'));
  await assert.rejects(asNode.json({ path: '/v1/entries/own' }), refusedWith('revoked'));
});

test('a join token is evidence like any other, and says as whom it lets in', async () => {
  const joinToken = await server.token('newcomer');
  await assert.rejects(
    svid({ kind: 'join-token', token: joinToken }, { agent: 'planner' }),
    refusedWith('bad_request'),
  );
  const leaf = await svid({ kind: 'join-token', token: joinToken }, { runtime: { model_provider: 'local' } });
  assert.match(leaf.id, /\/agent\/newcomer\//);
  await assert.rejects(svid({ kind: 'join-token', token: joinToken }), refusedWith('token_refused'));
});
