/** Enrolment on evidence other than a join token, against a real server. */
import assert from 'node:assert/strict';
import { createHash, generateKeyPairSync, sign, verify, X509Certificate } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { testServer } from '../../../test/server.ts';
import { isWritError, WritError } from '../../base/error.ts';
import { encodePem } from '../../der/pem.ts';
import { boundOctets } from '../../wire/bound-octets.ts';
import { issue } from '../../x509/path/testdata/issue.ts';
import { certificateEvidence } from '../evidence/certificate.ts';
import { explainRefusal } from '../evidence/refusal.ts';
import type { EvidenceSource, WithEvidence } from '../evidence/source.ts';
import { tokenEvidence } from '../evidence/token.ts';
import { connect } from './connect.ts';

const server = await testServer();
const file = (name: string, text: string): string => {
  const path = join(server.scratch, name);
  writeFileSync(path, text, { mode: 0o600 });
  return path;
};
const code = (wanted: string) => (error: unknown) => isWritError(error) && error.code === wanted;

// The root, as somebody has it who was handed it beforehand.
const first = await connect({ token: await server.token('planner') });
const [root] = first.roots;
first.close();
await server.token('reader');

const tokenKey = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const jwks = { keys: [{ ...tokenKey.publicKey.export({ format: 'jwk' }), kid: 'k', alg: 'ES256', use: 'sig' }] };
const issuer = 'https://ci.example.com';
const settings = [
  `issuer=${issuer}`,
  'audience=agents.example.com',
  `jwks=@${file('jwks.json', JSON.stringify(jwks))}`,
];
await server.json('attestor', 'add', 'ci', '--kind', 'oidc', ...settings.flatMap((one) => ['--set', one]));
await server.json('entry', 'create', 'planner', '--attestor', 'ci', '--match', 'oidc:sub=repo:example/app:*');

const day = 86_400_000;
const now = Math.floor(Date.now() / 1000) * 1000;
const validity = { notBefore: now - day, notAfter: now + day };
const factory = issue('Factory Root', { ca: true, ...validity });
const device = issue('device-7', { issuer: factory, ...validity });
const pem = (raw: Uint8Array): string => encodePem('CERTIFICATE', raw);
const keyPem = device.key.privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
const factoryFile = file('factory.pem', pem(factory.certificate.raw));
await server.json('attestor', 'add', 'factory', '--kind', 'x509pop', '--set', `roots=@${factoryFile}`);
for (const agent of ['planner', 'reader']) {
  await server.json('entry', 'create', agent, '--attestor', 'factory', '--match', 'x509:common_name=device-*');
}

let count = 0;
function token(claims: object = {}): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const at = Math.floor(Date.now() / 1000);
  const said = {
    iss: issuer,
    aud: 'agents.example.com',
    sub: 'repo:example/app:main',
    iat: at,
    exp: at + 300,
    jti: `${count++}`,
  };
  const signed = `${part({ alg: 'ES256', typ: 'JWT', kid: 'k' })}.${part({ ...said, ...claims })}`;
  const signature = sign('sha256', Buffer.from(signed), { key: tokenKey.privateKey, dsaEncoding: 'ieee-p1363' });
  return `${signed}.${signature.toString('base64url')}`;
}

const letIn = (source: EvidenceSource, options: Partial<WithEvidence> = {}, store?: string) =>
  connect({ evidence: { source, server: server.api, root: root!, ...options }, store });

test('a token of an issuer, from wherever it comes, lets in and renews like everybody', async () => {
  const path = file('token', `${token()}\n`);
  process.env['TEST_TOKEN'] = token();
  process.env['TEST_TOKEN_FILE'] = file('other-token', token());
  for (const source of [
    tokenEvidence({ attestor: 'ci', token: token() }),
    tokenEvidence({ attestor: 'ci', token: async () => token() }),
    tokenEvidence({ attestor: 'ci', file: path }),
    tokenEvidence({ attestor: 'ci', fileFrom: 'TEST_TOKEN_FILE' }),
    tokenEvidence({ attestor: 'ci', variable: 'TEST_TOKEN' }),
  ]) {
    using identity = await letIn(source);
    assert.match(identity.spiffeId, /\/agent\/planner\/[0-9a-z]{26}$/);
    assert.equal(identity.server, server.api);
    const before = identity.credential.serial;
    assert.notEqual((await identity.renew()).serial, before);
    assert.deepEqual(identity.roots, [root]);
  }
  // Written anew by whoever keeps it, it is read anew.
  const source = tokenEvidence({ attestor: 'ci', file: path });
  await assert.rejects(letIn(source), code('evidence_refused'));
  writeFileSync(path, token());
  (await letIn(source)).close();
});

test('the fingerprint of the root will do, and another server is told nothing', async () => {
  const fingerprint = createHash('sha256').update(new X509Certificate(root!).raw).digest('hex');
  for (const given of [fingerprint, `sha256:${fingerprint}`, fingerprint.toUpperCase()]) {
    (await letIn(tokenEvidence({ attestor: 'ci', token: () => token() }), { root: given })).close();
  }
  const said = tokenEvidence({ attestor: 'ci', token: 'e30.e30.e30' });
  for (const [options, field] of [
    [{ root: 'sha256:1234' }, 'root'],
    [{ root: keyPem }, 'root'],
    [{ root: fingerprint, server: 'localhost:8443' }, 'server'],
    [{ root: fingerprint, server: `${server.api}/v1` }, 'server'],
    [{ server: server.api.replace('https', 'http') }, 'server'],
  ] as const) {
    await assert.rejects(letIn(said, options), (error) => isWritError(error, 'bad_config') && error.field === field);
  }
  let presented = 0;
  const evidence: EvidenceSource = {
    async present() {
      presented += 1;
      return { kind: 'oidc', attestor: 'ci', token: token() };
    },
  };
  const wrong = fingerprint.replace(/^./, (digit) => (digit === '0' ? '1' : '0'));
  await assert.rejects(letIn(evidence, { root: wrong }), (error) => {
    return isWritError(error, 'bad_certificate') && error.field === 'root';
  });
  assert.equal(presented, 0);
  let asked = false;
  const curious: EvidenceSource = {
    async present(_spki, ask) {
      await ask({ attestor: 'factory' });
      asked = true;
      return { kind: 'oidc', attestor: 'ci', token: token() };
    },
  };
  await assert.rejects(letIn(curious, { root: pem(factory.certificate.raw) }), code('bad_certificate'));
  assert.ok(!asked);
});

test('a certificate of another authority and proof of its key', async () => {
  const chainFile = file('device.pem', pem(device.certificate.raw));
  const keyFile = file('device.key', keyPem);
  using identity = await letIn(certificateEvidence({ attestor: 'factory', chainFile, keyFile }), { agent: 'reader' });
  assert.match(identity.spiffeId, /\/agent\/reader\//);
  const own = { attestor: 'factory', chain: pem(device.certificate.raw), key: device.key.privateKey };
  (await letIn(certificateEvidence(own), { agent: 'planner', lifetimeSeconds: 300 })).close();
  // Entries for several match, and the bearer does not say which.
  await assert.rejects(letIn(certificateEvidence(own)), code('bad_request'));
  const thief = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
  await assert.rejects(letIn(certificateEvidence({ ...own, key: thief }), { agent: 'reader' }), (error) => {
    return isWritError(error, 'bad_config') && error.field === 'key';
  });
  const forging: EvidenceSource = {
    async present(spki, ask) {
      const said = await certificateEvidence(own).present(spki, ask);
      assert.ok(said.kind === 'x509pop');
      return { ...said, signature: sign(null, Buffer.from('something else'), thief).toString('base64') };
    },
  };
  await assert.rejects(letIn(forging, { agent: 'reader' }), code('evidence_refused'));
  const replayed = certificateEvidence(own);
  let kept: ReturnType<EvidenceSource['present']> | undefined;
  const keeping: EvidenceSource = {
    present(spki, ask) {
      kept ??= replayed.present(spki, ask);
      return kept;
    },
  };
  (await letIn(keeping, { agent: 'reader' })).close();
  await assert.rejects(letIn(keeping, { agent: 'reader' }), code('evidence_refused'));
});

test('what is signed is what the server checks, for each kind of key', async () => {
  const spki = new Uint8Array([1, 2, 3]);
  for (const [kind, options, hash] of [
    ['ec', { namedCurve: 'P-256' }, 'sha256'],
    ['ec', { namedCurve: 'P-384' }, 'sha384'],
    ['ec', { namedCurve: 'P-521' }, 'sha512'],
    ['ed25519', {}, null],
    ['rsa', { modulusLength: 2048 }, 'sha256'],
  ] as const) {
    const { privateKey, publicKey } = generateKeyPairSync(kind as 'ec', options as { namedCurve: string });
    const pair = { privateKey, spki: new Uint8Array(publicKey.export({ type: 'spki', format: 'der' })) };
    const own = issue('device-8', { issuer: factory, key: pair, ...validity });
    const source = certificateEvidence({ attestor: 'factory', chain: pem(own.certificate.raw), key: privateKey });
    const said = await source.present(spki, async () => ({ challenge: 'AZ_-09', expires_at: '' }));
    assert.ok(said.kind === 'x509pop');
    const padding = kind === 'rsa' ? { padding: 6, saltLength: 32 } : {};
    const signature = Buffer.from(said.signature, 'base64');
    assert.ok(verify(hash, boundOctets('AZ_-09', spki), { key: publicKey, ...padding }, signature), kind);
  }
});

test('what is missing, or given twice, is said before anything is sent', async () => {
  assert.throws(() => tokenEvidence({ attestor: 'ci' }), code('bad_config'));
  assert.throws(() => tokenEvidence({ attestor: 'ci', token: 'x', file: 'x' }), code('bad_config'));
  assert.throws(() => certificateEvidence({ attestor: 'factory', chain: 'x' }), code('bad_config'));
  const none = join(server.scratch, 'none');
  for (const source of [
    tokenEvidence({ attestor: 'ci', file: none }),
    tokenEvidence({ attestor: 'ci', fileFrom: 'TEST_NOT_SET' }),
    tokenEvidence({ attestor: 'ci', variable: 'TEST_NOT_SET' }),
    tokenEvidence({ attestor: 'ci', file: file('no-token', 'secret') }),
    certificateEvidence({ attestor: 'factory', chain: 'no certificate', key: device.key.privateKey }),
    certificateEvidence({ attestor: 'factory', chainFile: file('only.key', keyPem), key: device.key.privateKey }),
    certificateEvidence({ attestor: 'factory', chainFile: none, keyFile: none }),
  ]) {
    await assert.rejects(letIn(source), code('bad_config'));
  }
});

test('a refusal says what the bearer knows of why, and nothing of the token that is secret', async () => {
  const reasonsOf = async (claims: object): Promise<string> => {
    const shown = token(claims);
    let said = '';
    await assert.rejects(letIn(tokenEvidence({ attestor: 'ci', token: shown })), (error) => {
      assert.ok(isWritError(error, 'evidence_refused'));
      assert.match(error.remedy!, /writ ledger list --subject attestor:ci/);
      said = error.reasons.join('\n');
      for (const part of shown.split('.')) assert.ok(!`${said} ${error.message} ${error.remedy}`.includes(part));
      return true;
    });
    return said;
  };
  const audience = await reasonsOf({ aud: ['a', 'b\u001b[2J'], sub: 'somebody@example.com' });
  assert.match(audience, /issuer https:\/\/ci\.example\.com\.\n.*audience a, b\?\[2J\./);
  assert.doesNotMatch(audience, /somebody|expired/);
  assert.match(await reasonsOf({ exp: 1_000_000_000 }), /expired, at 2001-09-09T01:46:40\.000Z/);
  assert.match(await reasonsOf({ exp: 1e300, aud: 7, iss: {} }), /^It was shown to the attestor "ci"/);
});

test('of a chain it is said how much of it came and what has expired, of a module that it has no certificate', () => {
  const old = issue('device-9', { issuer: factory, notBefore: now - day, notAfter: now - 1000 });
  const error = new WritError('evidence_refused', 'x', { field: '/evidence' });
  const said = (evidence: object): string => {
    const explained = explainRefusal(error, { attestor: 'a', ...evidence } as never, now);
    assert.ok(isWritError(explained, 'evidence_refused') && explained.field === '/evidence');
    return explained.reasons.join('\n');
  };
  const chain = [pem(old.certificate.raw), pem(factory.certificate.raw)];
  const expired = `has expired, at ${new Date(now - 1000).toISOString()}.`;
  assert.ok(said({ kind: 'x509pop', chain }).includes(expired));
  assert.match(said({ kind: 'x509pop', chain }), /It brought 2 certificates\./);
  assert.doesNotMatch(said({ kind: 'x509pop', chain: chain.slice(1) }), /expired/);
  assert.match(said({ kind: 'tpm' }), /no certificate for its endorsement key/);
  assert.doesNotMatch(said({ kind: 'tpm', chain }), /no certificate/);
  const other = new WritError('unavailable', 'x');
  assert.equal(explainRefusal(other, { kind: 'tpm' } as never, now), other);
});

test('a stored identity goes on without evidence; what was stopped needs it again', async () => {
  const store = join(server.scratch, 'kept');
  mkdirSync(store, { mode: 0o700 });
  const made = await letIn(tokenEvidence({ attestor: 'ci', token: () => token() }), {}, store);
  made.close();
  const unused: EvidenceSource = { present: async () => assert.fail('evidence was asked for') };
  const again = await letIn(unused, {}, store);
  assert.equal(again.spiffeId, made.spiffeId);
  await again.stop();
  const anew = await letIn(tokenEvidence({ attestor: 'ci', token: () => token() }), {}, store);
  assert.notEqual(anew.spiffeId, made.spiffeId);
  anew.close();
});

test('what the runtime says goes with each renewal, and a change is quarantined', async () => {
  let tools = 'a'.repeat(64);
  const runtime = async () => ({ framework: 'own', tools_sha256: tools });
  const identity = await letIn(tokenEvidence({ attestor: 'ci', token: token() }), { runtime });
  await identity.renew();
  tools = 'b'.repeat(64);
  await assert.rejects(identity.renew(), code('inactive'));
  const instance = identity.spiffeId.split('/').at(-1)!;
  assert.equal((await server.json('instance', 'show', instance))['status'], 'quarantined');
  identity.close();
});
