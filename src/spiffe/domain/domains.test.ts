import assert from 'node:assert/strict';
import type { KeyObject } from 'node:crypto';
import { onEachEngine } from '../../../test/engines.ts';
import { ADA, callerOf, letIn, newKey, register } from '../../../test/installation.ts';
import { certificate } from '../../../test/spiffe-conformance/certificate.ts';
import type { AccessRequest, Caller, Verdict } from '../../base/access.ts';
import { isWritError } from '../../base/error.ts';
import { rootsOf } from '../../ca/authority.ts';
import { readAuthorities } from '../../ca/hierarchy.ts';
import { type Certificate, parseCertificate } from '../../x509/certificate.ts';
import { findExtension } from '../../x509/extension.ts';
import { BASIC_CONSTRAINTS, decodeBasicConstraints } from '../../x509/extensions/basic-constraints.ts';
import { validateSvid } from '../../x509/svid.ts';
import { OTHER, type Pair, PROFILE, refusedAs, request, setUp } from '../testdata/domain-world.ts';
import { closeDomain } from './close.ts';
import { createDomain } from './create.ts';
import { showDomain } from './parts.ts';
import { signDomainAuthority } from './sign.ts';

/** What the bearer of a subordinate authority signs with it. */
function leafOf(authority: Certificate, key: KeyObject, uri: string, dns: readonly string[] = []): Certificate {
  return parseCertificate(certificate({ uris: [uri], dns, by: { key, subject: authority.subject.raw } }).der);
}

onEachEngine('a subordinate authority signs for its own trust domain, one level deep', async ({ open }) => {
  const { installation, parts } = await setUp(open);
  const made = await createDomain(ADA, { trustDomain: OTHER, profile: PROFILE }, parts);
  const { key, csr } = await request([`spiffe://${OTHER}`]);
  const { authority, above } = await signDomainAuthority(ADA, { trustDomain: OTHER, csr }, parts);
  const root = made.authorities.find(({ kind }) => kind === 'root')!.certificate;
  const constraints = decodeBasicConstraints(findExtension(authority.certificate.extensions, BASIC_CONSTRAINTS)!.value);
  assert.deepEqual(constraints, { ca: true, pathLength: 0 });
  const judge = (leaf: Certificate, more: readonly Certificate[] = []): string => {
    const result = validateSvid({
      leaf,
      intermediates: [authority.certificate, ...above.map((one) => one.certificate), ...more],
      authorities: (domain) => (domain === OTHER ? [root] : undefined),
      now: Date.now(),
    });
    return result.valid ? result.id.uri : result.why;
  };
  assert.equal(judge(leafOf(authority.certificate, key, `spiffe://${OTHER}/x`)), `spiffe://${OTHER}/x`);
  // One level more.
  const below = certificate({
    ca: true,
    uris: [`spiffe://${OTHER}`],
    by: { key, subject: authority.certificate.subject.raw },
  });
  const tooDeep = leafOf(parseCertificate(below.der), below.key, `spiffe://${OTHER}/x`);
  assert.match(judge(tooDeep, [parseCertificate(below.der)]), /was not accepted/);
  const events = (await installation.events()).filter(({ type }) => type.startsWith('domain.'));
  assert.deepEqual(
    events.map(({ type }) => type),
    ['domain.created', 'domain.signed'],
  );
  assert.equal(events[1]!.body['certificate'], Buffer.from(authority.certificate.raw).toString('base64url'));
  await installation.close();
});

onEachEngine('what it signs of a name of ours is worth nothing, under its root and under ours', async ({ open }) => {
  const { installation, parts } = await setUp(open);
  const made = await createDomain(ADA, { trustDomain: OTHER, profile: PROFILE }, parts);
  const { key, csr } = await request();
  const { authority, above } = await signDomainAuthority(ADA, { trustDomain: OTHER, csr }, parts);
  const root = made.authorities.find(({ kind }) => kind === 'root')!.certificate;
  const ours = rootsOf(await readAuthorities(installation.database)).map((one) => one.certificate);
  const uri = 'spiffe://agents.example.com/agent/planner/01jd0000000000000000000000';
  for (const anchors of [[root], ours, [root, ...ours]]) {
    for (const leaf of [
      leafOf(authority.certificate, key, uri),
      leafOf(authority.certificate, key, `spiffe://${OTHER}/x`, ['planner.agents.example.com']),
    ]) {
      const result = validateSvid({
        leaf,
        intermediates: [authority.certificate, ...above.map((one) => one.certificate)],
        // Somebody careless, who puts everything that is trusted into one.
        authorities: () => anchors as readonly Certificate[],
        now: Date.now(),
      });
      assert.equal(result.valid, false);
    }
  }
  await installation.close();
});

onEachEngine('a trust domain that could name one of ours is never made', async ({ open }) => {
  const { installation, parts } = await setUp(open);
  for (const trustDomain of [
    'agents.example.com',
    'example.com',
    'com',
    'x.agents.example.com',
    // A name that certificates of ours may have by --permit-dns.
    'corp.example',
    'x.corp.example',
    'Partners.example',
    '10.0.0.1',
    '',
  ]) {
    await assert.rejects(
      createDomain(ADA, { trustDomain, profile: PROFILE }, parts),
      (error) => isWritError(error),
      trustDomain,
    );
  }
  const [first] = (await installation.events()).filter(({ type }) => type === 'access.refused');
  assert.deepEqual(first?.subjects, ['domain:agents.example.com']);
  const { caller, action, fault } = first.body;
  assert.deepEqual([caller, action, fault], [ADA.id, 'domain.create', 'own_domain']);
  assert.equal(
    (await createDomain(ADA, { trustDomain: 'agents.example.org', profile: PROFILE }, parts)).domain.state,
    'active',
  );
  await assert.rejects(
    createDomain(ADA, { trustDomain: 'agents.example.org', profile: PROFILE }, parts),
    refusedAs('conflict'),
  );
  await installation.close();
});

onEachEngine(
  'nothing beyond the profile, and no name of another trust domain; each refusal is recorded',
  async ({ open }) => {
    const { installation, parts } = await setUp(open);
    await createDomain(ADA, { trustDomain: OTHER, profile: PROFILE }, parts);
    const ask = async (pair: Pair, lifetime?: number, caller: Caller = ADA) =>
      signDomainAuthority(
        caller,
        { trustDomain: OTHER, csr: pair.csr, ...(lifetime === undefined ? {} : { lifetime }) },
        parts,
      );
    for (const uri of [
      'spiffe://agents.example.com',
      'spiffe://agents.example.com/agent/x/1',
      `spiffe://${OTHER}/x`,
      'https://x.example',
      'spiffe://third.example',
    ]) {
      await assert.rejects(ask(await request([uri])), refusedAs('denied'), uri);
    }
    await assert.rejects(ask(await request([], 'P-384')), refusedAs('bad_csr'));
    await assert.rejects(ask(await request(), PROFILE.mostSeconds + 1), refusedAs('bad_request'));
    await assert.rejects(ask(await request(), 10), refusedAs('bad_request'));
    const one = await request();
    const altered = { ...one, csr: one.csr.map((octet, at) => (at === one.csr.length - 1 ? octet ^ 1 : octet)) };
    await assert.rejects(ask(altered), refusedAs('bad_csr'), 'the key is not in hand');
    const refusals = (await installation.events()).filter(({ type }) => type === 'access.refused');
    assert.ok(refusals.some(({ body }) => body['action'] === 'domain.sign' && body['code'] === 'denied'));

    await ask(await request());
    await ask(await request(), 300);
    await assert.rejects(ask(await request()), refusedAs('conflict'), 'two at a time');
    installation.advance(301_000);
    await ask(await request());
    await closeDomain(ADA, OTHER, parts);
    await assert.rejects(ask(await request()), refusedAs('inactive'));
    const { domain, authorities } = await showDomain(ADA, OTHER, parts);
    assert.deepEqual([domain.state, authorities.length], ['closed', 5]);
    const keys = await installation.database.all("SELECT id FROM sealed_key WHERE purpose = 'domain-authority'");
    assert.deepEqual(keys, []);
    await installation.close();
  },
);

onEachEngine(
  'it is asked about with the trust domain and the lifetime, and nothing leaves unrecorded',
  async ({ open }) => {
    const { installation, parts } = await setUp(open);
    const asked: AccessRequest[] = [];
    const authorize = (one: AccessRequest): Verdict => {
      asked.push(one);
      return { allowed: true, rules: [], policyVersion: 1 };
    };
    await createDomain(ADA, { trustDomain: OTHER, profile: PROFILE }, { ...parts, authorize });
    const { csr } = await request();
    await signDomainAuthority(ADA, { trustDomain: OTHER, csr, lifetime: 600 }, { ...parts, authorize });
    assert.deepEqual(
      asked.map(({ action, context }) => [action, context]),
      [
        ['domain.create', { trustDomain: OTHER, lifetimeSeconds: PROFILE.mostSeconds }],
        ['domain.sign', { trustDomain: OTHER, lifetimeSeconds: 600 }],
      ],
    );
    const failing = async (): Promise<never> => {
      throw new Error('disk full');
    };
    const { csr: next } = await request();
    await assert.rejects(
      signDomainAuthority(ADA, { trustDomain: OTHER, csr: next }, { ...parts, commit: failing }),
      /disk full/,
    );
    await register(installation, 'planner');
    const agent = await letIn(installation, { agent: 'planner' }, newKey());
    const { authorize: policy } = installation.policy;
    for (const caller of [callerOf(agent), { kind: 'anonymous', id: 'anonymous' } as Caller]) {
      await assert.rejects(
        signDomainAuthority(caller, { trustDomain: OTHER, csr: next }, { ...parts, authorize: policy }),
        refusedAs('denied'),
      );
      await assert.rejects(
        createDomain(caller, { trustDomain: 'x.example', profile: PROFILE }, { ...parts, authorize: policy }),
        refusedAs('denied'),
      );
    }
    await assert.rejects(
      createDomain(ADA, { trustDomain: 'x.example', profile: PROFILE }, { ...parts, authorize: policy }),
      refusedAs('needs_approval'),
    );
    await installation.close();
  },
);
