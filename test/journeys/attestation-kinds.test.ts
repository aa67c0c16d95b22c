/**
 * Machines, pods and modules are let in on evidence of their own over HTTP: signed as the clouds document it by keys of the
 * test, reviewed by a fake cluster, and by a real module where `swtpm` is installed.
 */
import assert from 'node:assert/strict';
import type { KeyObject } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { messageSigner, rsaSigner, signedMessage } from '../../src/attest/verifier/testdata/signed-message.ts';
import { noSwtpm, swtpm } from '../../src/attest/verifier/testdata/swtpm.ts';
import { fakeCluster } from '../../src/attest/verifier/testdata/token-review.ts';
import { sha256 } from '../../src/base/sha256.ts';
import { encodePem } from '../../src/der/pem.ts';
import type { Client } from '../../src/http/client.ts';
import { connect } from '../../src/sdk/enrolment/connect.ts';
import { certificateEvidence, tokenEvidence, tpmEvidence } from '../../src/sdk/evidence/entry.ts';
import { azureNonce, boundOctets } from '../../src/wire/bound-octets.ts';
import { parseCsr } from '../../src/x509/csr.ts';
import { type Entity, issue } from '../../src/x509/path/testdata/issue.ts';
import { testServer } from '../server.ts';
import { clientOf, csrFor, type Leaf, newKey, rootsIn } from './clients.ts';

let server = await testServer();
const cluster = await fakeCluster();
after(() => cluster[Symbol.asyncDispose]());

const reviewerFile = join(server.scratch, 'reviewer');
writeFileSync(reviewerFile, 'reviewer\n', { mode: 0o600 });
const config = JSON.parse(readFileSync(join(server.data, 'config.json'), 'utf8')) as object;
writeFileSync(
  join(server.data, 'config.json'),
  JSON.stringify({
    ...config,
    attestation: { allowNetworks: ['127.0.0.0/8'], reviewerTokens: { cluster: reviewerFile } },
  }),
);
server = await server.restart();

const roots = rootsIn(server.operator);
const stranger = clientOf(server.open, roots);
const OWNER = ['--team', 'tests', '--sponsor', 'ada@example.com', '--purpose', 'tests'];
await server.json('service', 'register', 'host', ...OWNER);

const today = Math.floor(Date.now() / 1000) * 1000;
const validity = { notBefore: today - 86_400_000, notAfter: today + 86_400_000 };
const pem = ({ certificate }: Entity): string => encodePem('CERTIFICATE', certificate.raw);

/** A parameter that is read from a file. */
function fromFile(name: string, content: string): string {
  const file = join(server.scratch, name);
  writeFileSync(file, content);
  return `@${file}`;
}

async function attestor(name: string, kind: string, settings: Record<string, string>, match: string): Promise<void> {
  const set = Object.entries(settings).flatMap(([key, value]) => ['--set', `${key}=${value}`]);
  await server.json('attestor', 'add', name, '--kind', kind, ...set);
  await server.json('entry', 'create', 'host', '--attestor', name, '--match', match);
}

type Answer = Omit<Leaf, 'key' | 'id' | 'instance'> & { readonly spiffe_id: string };

async function svid(evidence: object, key: KeyObject = newKey(), client: Client = stranger): Promise<Leaf> {
  const body = { csr: await csrFor(key), evidence };
  const {
    certificate,
    chain,
    serial,
    spiffe_id: id,
  } = await client.json<Answer>({ method: 'POST', path: '/v1/svid', body });
  return { key, certificate, chain, serial, id, instance: id.slice(id.lastIndexOf('/') + 1) };
}

async function spkiOf(key: KeyObject): Promise<Uint8Array> {
  const der = Buffer.from((await csrFor(key)).replaceAll(/-----[^-]+-----|\s/g, ''), 'base64');
  return parseCsr(der).publicKey.spki;
}

interface Challenge {
  readonly challenge: string;
  readonly credential_blob?: string;
  readonly encrypted_secret?: string;
}

const challengeOf = (body: object): Promise<Challenge> =>
  stranger.json<Challenge>({ method: 'POST', path: '/v1/attestation/challenges', body });

const refused = (error: unknown): boolean => (error as { code: string }).code === 'evidence_refused';

async function faults(name: string): Promise<string> {
  return (await server.cli('ledger', 'list', '--subject', `attestor:${name}`, '--json')).stdout;
}

test('a machine of AWS comes in once', async () => {
  const region = rsaSigner('AWS', validity);
  const settings = { accounts: '123456789012', certificates: fromFile('aws.pem', pem(region)) };
  await attestor('aws', 'aws', settings, 'aws:region=us-west-2');
  const document = (accountId: string): string =>
    signedMessage(
      {
        accountId,
        instanceId: 'i-1234567890abcdef0',
        region: 'us-west-2',
        pendingTime: new Date().toISOString().replace(/\.\d+/, ''),
      },
      { by: region, brings: [] },
    );
  const evidence = { kind: 'aws', attestor: 'aws', document: document('123456789012') };
  assert.match((await svid(evidence)).id, /\/service\/host\//);
  await assert.rejects(svid(evidence), refused);
  await assert.rejects(svid({ ...evidence, document: document('210987654321') }), refused);
  assert.match(await faults('aws'), /spent[\s\S]*not-admitted|not-admitted[\s\S]*spent/);
});

test('a machine of Azure comes in with a document for this challenge and this key', async () => {
  const root = issue('Root', { ca: true, ...validity });
  const names = [{ kind: 'dns' as const, value: 'metadata.azure.com' }];
  const signer = messageSigner('metadata.azure.com', { issuer: root, names, ...validity });
  const subscriptionId = '8d10da13-8125-4ba9-a717-bf7490507b3d';
  const settings = { subscriptions: subscriptionId, roots: fromFile('azure.pem', pem(root)) };
  await attestor('azure', 'azure', settings, `azure:subscription_id=${subscriptionId}`);
  const { challenge } = await challengeOf({ attestor: 'azure' });
  const stamp = (ms: number): string => {
    const [year, month, day] = new Date(ms).toISOString().slice(0, 10).split('-');
    return `${month}/${day}/${year!.slice(2)} ${new Date(ms).toISOString().slice(11, 19)} -0000`;
  };
  const key = newKey();
  const document = signedMessage(
    {
      nonce: azureNonce(challenge, await spkiOf(key)),
      subscriptionId,
      vmId: '02aab8a4-74ef-476e-8182-f6d2ba4166a6',
      timeStamp: { createdOn: stamp(Date.now()), expiresOn: stamp(Date.now() + 3600_000) },
    },
    { by: signer },
  );
  const evidence = { kind: 'azure', attestor: 'azure', challenge, document };
  await assert.rejects(svid(evidence), refused);
  assert.match((await svid(evidence, key)).id, /\/service\/host\//);
  await assert.rejects(svid(evidence, key), refused);
});

test('a pod comes in while the cluster says that it is there', async () => {
  await attestor(
    'cluster',
    'k8s',
    { server: cluster.url, ca: fromFile('cluster.pem', cluster.ca), audience: 'writ' },
    'k8s:namespace=agents',
  );
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const token = (jti: string): string => {
    const claims = { aud: ['writ'], exp: Math.floor(Date.now() / 1000) + 600, iss: 'https://k', jti };
    return `${part({ alg: 'RS256' })}.${part({ ...claims, sub: 'system:serviceaccount:agents:host' })}.c2lnbmVk`;
  };
  const account = { username: 'system:serviceaccount:agents:host', uid: 'u', groups: [], audiences: ['writ'] };
  const [first, second] = [token('1'), token('2')];
  cluster.accounts.set(first, account);
  const evidence = (given: string): object => ({ kind: 'k8s', attestor: 'cluster', token: given });
  await assert.rejects(svid(evidence(first)), refused);
  cluster.reviewers.add('reviewer');
  assert.match((await svid(evidence(first))).id, /\/service\/host\//);
  await assert.rejects(svid(evidence(first)), refused);
  await assert.rejects(svid(evidence(second)), refused);
  assert.match(await faults('cluster'), /unreachable/);
  assert.match(await faults('cluster'), /not-authenticated/);
});

test('a module lets its machine in and signs for each renewal', { skip: noSwtpm }, async () => {
  await using module = await swtpm();
  await attestor('modules', 'tpm', { roots: fromFile('tpm.pem', module.root) }, 'tpm:model=swtpm');
  const [ek, allowed] = ['0x81010001', 'fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign'];
  module.run('readpublic', '-c', ek, '-o', 'ek.pub');
  const attesting = ['-G', 'ecc', '-g', 'sha256', '-s', 'ecdsa', '-u', 'ak.pub', '-n', 'ak.name'];
  module.run('createak', '-C', ek, '-c', 'ak.ctx', ...attesting);
  module.run('createprimary', '-C', 'o', '-c', 'primary.ctx');
  const files = ['-u', 'key.pub', '-r', 'key.priv', '-c', 'key.ctx'];
  module.run('create', '-C', 'primary.ctx', '-G', 'ecc256:ecdsa-sha256', '-a', allowed, ...files);
  module.run('evictcontrol', '-C', 'o', '-c', 'ak.ctx', '0x81010100');
  module.run('evictcontrol', '-C', 'o', '-c', 'key.ctx', '0x81010101');
  const text = (file: string): string => module.read(file).toString('base64');
  const signed = (octets: Uint8Array): string => {
    module.write('message', octets);
    module.run('sign', '-c', 'key.ctx', '-g', 'sha256', '-s', 'ecdsa', '-o', 'proof', 'message');
    return text('proof');
  };

  const keys = { endorsement_key: text('ek.pub'), attestation_key: text('ak.pub') };
  const { challenge, credential_blob, encrypted_secret } = await challengeOf({ attestor: 'modules', ...keys });
  const [blob, wrapped] = [credential_blob!, encrypted_secret!].map((one) => Buffer.from(one, 'base64'));
  const secret = module.activate(ek, 'ak.ctx', blob!, wrapped!).toString('base64');
  const key = newKey();
  const bound = boundOctets(challenge, await spkiOf(key));
  const [attested, signature] = await module.certify({ object: 0x8101_0101, key: 0x8101_0100 }, sha256(bound));
  const evidence = {
    kind: 'tpm',
    attestor: 'modules',
    challenge,
    secret,
    ...keys,
    chain: [module.certificate('0x1c00002'), module.issuing],
    key: text('key.pub'),
    attested: attested.toString('base64'),
    signature: signature.toString('base64'),
    proof: signed(bound),
  };
  await assert.rejects(svid(evidence), refused);
  const leaf = await svid(evidence, key);
  await assert.rejects(svid(evidence, key), refused);

  const own = clientOf(server.api, roots, leaf);
  const renew = async (next: KeyObject, tpm?: object): Promise<unknown> => {
    const body = { csr: await csrFor(next), ...(tpm === undefined ? {} : { tpm }) };
    return own.json({ method: 'POST', path: '/v1/certificates/renew', body });
  };
  await assert.rejects(renew(newKey()), refused);
  const next = newKey();
  const fresh = await challengeOf({ attestor: 'modules' });
  const proof = signed(boundOctets(fresh.challenge, await spkiOf(next)));
  await assert.rejects(renew(newKey(), { challenge: fresh.challenge, proof }), refused);
  await assert.rejects(renew(next, { challenge, proof }), refused);
  await renew(next, { challenge: fresh.challenge, proof });
});

test('a program with the client library comes in by its module, by its certificate, and by a token in a file', async () => {
  const root = roots[0]!;
  const api = server.api;
  const factory = issue('Factory', { ca: true, ...validity });
  const machine = issue('machine-1', { issuer: factory, ...validity });
  await attestor('factory', 'x509pop', { roots: fromFile('factory.pem', pem(factory)) }, 'x509:common_name=machine-*');
  const key = machine.key.privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
  const byCertificate = certificateEvidence({ attestor: 'factory', key, chain: [pem(machine)] });
  const first = await connect({ evidence: { source: byCertificate, server: api, root } });
  after(() => first.close());
  assert.match(first.credential.spiffeId, /\/service\/host\//);

  const file = join(server.scratch, 'token');
  writeFileSync(file, 'e30.e30.e30\n');
  const byToken = tokenEvidence({ attestor: 'cluster', kind: 'k8s', file });
  await assert.rejects(connect({ evidence: { source: byToken, server: api, root } }), refused);

  if (noSwtpm !== false) return;
  await using module = await swtpm();
  await attestor('chips', 'tpm', { roots: fromFile('chips.pem', module.root) }, 'tpm:model=swtpm');
  const byModule = tpmEvidence({ attestor: 'chips', device: module.socket, intermediates: [module.issuing] });
  const second = await connect({ evidence: { source: byModule, server: api, root } });
  after(() => second.close());
  const before = second.credential.serial;
  await second.renew();
  assert.notEqual(second.credential.serial, before);
});
