import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { isWritError } from '../../base/error.ts';
import { KEY_ALGORITHMS } from '../../keys/generate.ts';
import type { Name } from '../../spiffe-id/name.ts';
import { instanceId, operatorId, serverId } from '../../spiffe-id/subject.ts';
import { parseTrustDomain } from '../../spiffe-id/trust-domain.ts';
import { parseCertificate } from '../../x509/certificate.ts';
import { decodeAgentContext } from '../../x509/extensions/agent-context.ts';
import { decodeSubjectAltName } from '../../x509/extensions/subject-alt-name.ts';
import { RFC5280 } from '../../x509/path/policy.ts';
import { validatePath } from '../../x509/path/validate.ts';
import { prepareAuthority } from '../authority/prepare.ts';
import type { Profile } from '../profile/profile.ts';
import {
  type Chain,
  issueLeaf,
  leafRequest,
  makeChain,
  random,
  START,
  scopeOf,
  statusOf,
  TRUST_DOMAIN,
} from '../testdata/installation.ts';
import { prepareLeaf } from './prepare.ts';
import { readSerial } from './serial.ts';
import { signCertificate } from './sign.ts';
import type { Prepared } from './token.ts';

const now = START;
let chain: Chain;
before(async () => {
  chain = await makeChain('ecdsa-p256', scopeOf({ loopback: true }));
});

const profileOf = (name: string): Profile => chain.profiles.find((profile) => profile.name === name)!;
const status = () => statusOf(chain.issuer, { revocation: 'revocable' });
const prepare = async (change = {}): Promise<Prepared> =>
  prepareLeaf(chain.issuer, profileOf('agent'), await leafRequest(change), { now, random, status: status() });
const code = (code: Parameters<typeof isWritError>[1], field?: string) => (error: unknown) =>
  isWritError(error, code) && (field === undefined || error.field === field);

for (const algorithm of KEY_ALGORITHMS) {
  test(`an ${algorithm} hierarchy and leaf validate as a relying party does`, async () => {
    const made = await makeChain(algorithm);
    const leaf = parseCertificate((await issueLeaf(made, await leafRequest({}, algorithm))).der);
    for (const purpose of ['server', 'client'] as const) {
      const result = validatePath({
        leaf,
        intermediates: [made.issuing.certificate, made.intermediate.certificate],
        anchors: [made.root.certificate],
        at: now,
        policy: RFC5280,
        purpose,
      });
      assert.ok(result.valid, JSON.stringify(result));
      assert.equal(result.path.length, 4);
    }
  });
}

test('a token signs once', async () => {
  const token = await prepare();
  await signCertificate(chain.issuer, token);
  await assert.rejects(signCertificate(chain.issuer, token), code('internal'));
});

test('of two that try at once, one signs', async () => {
  const token = await prepare();
  const tried = await Promise.allSettled([signCertificate(chain.issuer, token), signCertificate(chain.issuer, token)]);
  assert.deepEqual(tried.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
});

test('a token is for one issuer', async () => {
  const other = await makeChain('ecdsa-p256');
  const token = await prepare();
  await assert.rejects(signCertificate(other.issuer, token), code('internal'));
  await signCertificate(chain.issuer, token);
});

test('nothing but a preparation makes a token', async () => {
  const token = await prepare();
  const forged = [
    { ...token },
    structuredClone(token),
    Object.create(token),
    {},
    Object.create(Object.getPrototypeOf(token)),
  ];
  for (const imitation of forged) {
    await assert.rejects(signCertificate(chain.issuer, imitation as Prepared), code('internal'));
  }
});

test('only what signs certificates and lists reaches a signer of an authority', () => {
  const src = join(import.meta.dirname, '../..');
  const users = readdirSync(src, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'))
    .filter((name) => /\b(?:Issuer\.|static )signerOf\b/.test(readFileSync(join(src, name), 'utf8')))
    .sort();
  assert.deepEqual(users, ['ca/certificate/sign.ts', 'ca/crl/sign.ts', 'ca/issuer.ts']);
});

test('a leaf says who it is, for how long, and nothing else', async () => {
  const request = await leafRequest({ context: { workflow: 'billing', scopes: ['read', 'write'] }, lifetime: 600 });
  const signed = await issueLeaf(chain, request);
  const leaf = parseCertificate(signed.der);
  assert.deepEqual(readSerial(leaf.serial), { issuedAt: now, expiresAt: now + 600_000, lifetime: 600 });
  assert.deepEqual([signed.issuedAt, signed.expiresAt, signed.issuer], [now, now + 600_000, chain.issuing.id]);
  assert.equal(leaf.notBefore, Math.floor((now - 30_000) / 1000) * 1000);
  assert.equal(leaf.notAfter, Math.floor((now + 600_000) / 1000) * 1000);
  assert.equal(leaf.subject.rdns.length, 0);
  assert.deepEqual(leaf.spki, request.key.spki);
  const value = (oid: string) => leaf.extensions.find((extension) => extension.oid === oid)!.value;
  assert.deepEqual(decodeSubjectAltName(value('2.5.29.17')), [{ kind: 'uri', value: request.id.uri }]);
  const context = value('1.2.840.113556.1.8000.2554.64762.41221.52305.18423.38502.15414753.184288');
  assert.deepEqual(decodeAgentContext(context), { workflow: 'billing', scopes: ['read', 'write'] });
});

test('names are those that the profile allows, within the constraints of the authorities', async () => {
  const id = serverId(TRUST_DOMAIN);
  const request = await leafRequest({
    id,
    dns: ['writ.agents.example.com', 'agents.example.com', 'localhost'],
    addresses: [Uint8Array.of(127, 0, 0, 1)],
  });
  const leaf = parseCertificate((await issueLeaf(chain, request, { profile: 'server' })).der);
  const names = decodeSubjectAltName(leaf.extensions.find(({ oid }) => oid === '2.5.29.17')!.value);
  assert.deepEqual(
    names.map(({ kind }) => kind),
    ['uri', 'dns', 'dns', 'dns', 'ip'],
  );
  const table: [object, string][] = [
    [{ dns: ['example.com'] }, '/dns_names'],
    [{ dns: ['notagents.example.com'] }, '/dns_names'],
    [{ dns: ['*.agents.example.com'] }, '/dns_names'],
    [{ dns: ['Writ.agents.example.com'] }, '/dns_names'],
    [{ dns: ['a.agents.example.com\n'] }, '/dns_names'],
    [{ addresses: [Uint8Array.of(10, 0, 0, 1)] }, '/ip_addresses'],
    [{ addresses: [new Uint8Array(16)] }, '/ip_addresses'],
    [{ addresses: [Uint8Array.of(127, 0, 0)] }, '/ip_addresses'],
  ];
  for (const [change, field] of table) {
    const bad = await leafRequest({ id, ...change });
    assert.throws(
      () => prepareLeaf(chain.issuer, profileOf('server'), bad, { now, random, status: status() }),
      code('denied', field),
    );
  }
  const wide = { ...profileOf('server'), dns: ['example.org'] };
  const outside = await leafRequest({ id, dns: ['a.example.org'] });
  assert.throws(() => prepareLeaf(chain.issuer, wide, outside, { now, random, status: status() }), code('lint_failed'));
});

test('an agent gets no name but its id, and no extension where the profile has none', async () => {
  await assert.rejects(prepare({ dns: ['agents.example.com'] }), code('denied'));
  const id = operatorId(TRUST_DOMAIN, 'ada' as Name);
  const operator = await issueLeaf(chain, await leafRequest({ id, context: { workflow: 'w' } }), {
    profile: 'operator',
  });
  const oids = parseCertificate(operator.der).extensions.map(({ oid }) => oid);
  assert.ok(!oids.some((oid) => oid.startsWith('1.2.840.113556')), oids.join());
});

test('a profile is for its own subjects, and an authority for its own trust domain', async () => {
  const agent = await leafRequest();
  assert.throws(
    () => prepareLeaf(chain.issuer, profileOf('server'), agent, { now, random, status: status() }),
    code('denied', '/profile'),
  );
  const elsewhere = instanceId(
    parseTrustDomain('example.org'),
    'agent',
    'planner' as Name,
    '01jd0000000000000000000000',
  );
  await assert.rejects(prepare({ id: elsewhere }), code('internal'));
  for (const issuer of [chain.issuers.root, chain.issuers.intermediate]) {
    assert.throws(
      () => prepareLeaf(issuer, profileOf('agent'), agent, { now, random, status: status() }),
      code('internal'),
    );
  }
});

test('kinds of key that the profile does not take, and lifetimes that it does not give', async () => {
  const p384 = await leafRequest({}, 'ecdsa-p384');
  const narrow = { ...profileOf('agent'), keys: ['ed25519'] as const };
  assert.throws(
    () => prepareLeaf(chain.issuer, narrow, p384, { now, random, status: status() }),
    code('bad_csr', '/csr'),
  );
  for (const lifetime of [299, 86_401, 0, -1, 600.5, Number.NaN]) {
    await assert.rejects(prepare({ lifetime }), code('bad_request', '/lifetime'), String(lifetime));
  }
  for (const lifetime of [300, 86_400]) await prepare({ lifetime });
});

test('nothing outlives what it hangs on', async () => {
  const until = now + 90_500;
  assert.equal((await prepare({ until })).expiresAt, now + 90_000);
  assert.equal((await prepare({ until: now + 1000 })).expiresAt, now + 1000);
  await assert.rejects(prepare({ until: now + 999 }), code('expired'));
  await assert.rejects(prepare({ until: now - 1 }), code('expired'));
  const { notAfter } = chain.issuer;
  const late = prepareLeaf(chain.issuer, profileOf('agent'), await leafRequest(), {
    now: notAfter - 60_000,
    random,
    status: status(),
  });
  assert.equal(late.expiresAt, notAfter);
  const request = await leafRequest();
  const at = (now: number) => () =>
    prepareLeaf(chain.issuer, profileOf('agent'), request, { now, random, status: status() });
  assert.throws(at(notAfter), code('expired'));
  assert.throws(at(chain.issuer.notBefore - 1), code('clock'));
});

test('authorities outlive nobody above them either, and each signs only the kind below', async () => {
  const { root, intermediate } = chain.issuers;
  const nameConstraints = chain.root.certificate.extensions.find(({ oid }) => oid === '2.5.29.30')!.value;
  const request = {
    name: chain.issuing.certificate.subject.raw,
    spki: chain.issuing.certificate.spki,
    nameConstraints,
  };
  const late = intermediate.notAfter - 3_600_000;
  const short = prepareAuthority(intermediate, { ...request, kind: 'issuing', lifetime: 7200 }, { now: late, random });
  assert.equal(short.expiresAt, intermediate.notAfter);
  const wrong: [typeof root, 'root' | 'intermediate' | 'issuing'][] = [
    [root, 'issuing'],
    [intermediate, 'intermediate'],
    [chain.issuer, 'issuing'],
    [intermediate, 'root'],
  ];
  for (const [issuer, kind] of wrong) {
    assert.throws(
      () => prepareAuthority(issuer, { ...request, kind, lifetime: 60 }, { now, random }),
      code('internal'),
    );
  }
  assert.throws(
    () => prepareAuthority(root, { ...request, kind: 'intermediate', lifetime: 60 }, { now: root.notAfter, random }),
    code('expired'),
  );
});

test('what breaks a lint is never signed: here, an authority without the constraints of the trust domain', async () => {
  const { root } = chain.issuers;
  const { subject, spki } = chain.issuing.certificate;
  const foreign = await makeChain('ecdsa-p256', scopeOf({ trustDomain: parseTrustDomain('example.org') }));
  const nameConstraints = foreign.root.certificate.extensions.find(({ oid }) => oid === '2.5.29.30')!.value;
  assert.throws(
    () =>
      prepareAuthority(
        root,
        { kind: 'intermediate', name: subject.raw, spki, lifetime: 60, nameConstraints },
        { now, random },
      ),
    (error) => isWritError(error, 'lint_failed') && error.reasons.some((reason) => reason.includes('name_constraints')),
  );
});
