import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { orderedFacts } from '../facts.ts';
import { factsOfClaims } from './oidc-facts.ts';

/* Claims as the issuers' own documentation shows them. */

test('GitLab: a job', () => {
  const facts = factsOfClaims({
    namespace_id: '72',
    namespace_path: 'my-group',
    project_path: 'my-group/my-project',
    user_login: 'sample-user',
    user_identities: [{ provider: 'github', extern_uid: '2435223452345' }],
    pipeline_source: 'push',
    ref: 'feature-branch-1',
    ref_protected: 'false',
    groups_direct: ['mygroup/mysubgroup', 'myothergroup'],
    environment_protected: 'false',
    runner_id: 1,
    sub: 'project_path:my-group/my-project:ref_type:branch:ref:feature-branch-1',
    iss: 'https://gitlab.example.com',
    aud: 'https://vault.example.com',
    jti: '235b3a54-b797-45c7-ae9a-f72d7bc6ef5b',
    exp: 1681395193,
  });
  assert.deepEqual(facts?.['oidc:claim/project_path'], ['my-group/my-project']);
  assert.deepEqual(facts?.['oidc:claim/ref_protected'], ['false']);
  assert.deepEqual(facts?.['oidc:claim/groups_direct'], ['mygroup/mysubgroup', 'myothergroup']);
  assert.deepEqual(facts?.['oidc:claim/runner_id'], ['1']);
  assert.equal(facts?.['oidc:claim/user_identities'], undefined);
});

test('Azure: a managed identity', () => {
  const facts = factsOfClaims({
    aud: 'api://writ',
    iss: 'https://login.microsoftonline.com/72f988bf-86f1-41af-91ab-2d7cd011db47/v2.0',
    azp: 'c9bb5f0d-0000-4000-8000-000000000001',
    oid: 'd3ab5f0d-0000-4000-8000-000000000002',
    sub: 'd3ab5f0d-0000-4000-8000-000000000002',
    tid: '72f988bf-86f1-41af-91ab-2d7cd011db47',
    roles: ['Agents.Enrol'],
    uti: 'x',
    rh: 'y',
  });
  assert.deepEqual(facts?.['oidc:claim/tid'], ['72f988bf-86f1-41af-91ab-2d7cd011db47']);
  assert.deepEqual(facts?.['oidc:claim/roles'], ['Agents.Enrol']);
  assert.equal(facts?.['oidc:claim/uti'], undefined);
});

describe('Kubernetes: a projected service account', () => {
  const claims = {
    aud: ['writ'],
    iss: 'https://kubernetes.default.svc.cluster.local',
    jti: 'ea28ed49-2e11-4280-9ec5-bc3d1d84661a',
    'kubernetes.io': {
      namespace: 'kube-system',
      node: { name: '127.0.0.1', uid: '58456cb0-dd00-45ed-b797-5578fdceaced' },
      pod: { name: 'coredns-69cbfb9798-jv9gn', uid: '778a530c-b3f4-47c0-9cd5-ab018fb64f33' },
      serviceaccount: { name: 'coredns', uid: 'a087d5a0-e1dd-43ec-93ac-f13d89cd13af' },
      warnafter: 1700081020,
    },
    sub: 'system:serviceaccount:kube-system:coredns',
  };

  test('says namespace, account, pod and node', () => {
    const facts = factsOfClaims(claims);
    assert.deepEqual(facts?.['k8s:namespace'], ['kube-system']);
    assert.deepEqual(facts?.['k8s:service_account'], ['coredns']);
    assert.deepEqual(facts?.['k8s:pod'], ['coredns-69cbfb9798-jv9gn']);
    assert.deepEqual(facts?.['k8s:pod_uid'], ['778a530c-b3f4-47c0-9cd5-ab018fb64f33']);
    assert.deepEqual(facts?.['k8s:node'], ['127.0.0.1']);
  });

  test('is believed only where its subject is the same account', () => {
    assert.equal(factsOfClaims({ ...claims, sub: 'system:serviceaccount:default:coredns' }), undefined);
    assert.equal(factsOfClaims({ ...claims, 'kubernetes.io': { namespace: 'kube-system' } }), undefined);
  });
});

test('Google: a machine', () => {
  const facts = factsOfClaims({
    iss: 'https://accounts.google.com',
    iat: 1496953245,
    exp: 1496956845,
    aud: 'https://www.example.com',
    sub: '107517467455664443765',
    azp: '107517467455664443765',
    email: '739419398126-compute@developer.gserviceaccount.com',
    email_verified: true,
    google: {
      compute_engine: {
        project_id: 'my-project',
        project_number: 739419398126,
        zone: 'us-west1-a',
        instance_id: '152986662232938449',
        instance_name: 'example',
        instance_creation_timestamp: 1496952205,
        instance_confidentiality: 1,
        license_id: ['1000204'],
      },
    },
  });
  assert.deepEqual(facts?.['gcp:project_id'], ['my-project']);
  assert.deepEqual(facts?.['gcp:project_number'], ['739419398126']);
  assert.deepEqual(facts?.['gcp:zone'], ['us-west1-a']);
  assert.deepEqual(facts?.['gcp:instance_id'], ['152986662232938449']);
  assert.deepEqual(facts?.['gcp:service_account'], ['739419398126-compute@developer.gserviceaccount.com']);
});

test('an address of mail that nobody has checked is no fact', () => {
  const email = 'ceo@example.com';
  for (const claims of [{}, { email_verified: false }, { email_verified: 'false' }, { email_verified: 1 }]) {
    assert.equal(factsOfClaims({ email, ...claims })?.['oidc:claim/email'], undefined, JSON.stringify(claims));
  }
  for (const email_verified of [true, 'true']) {
    assert.deepEqual(factsOfClaims({ email, email_verified })?.['oidc:claim/email'], [email]);
  }
});

test('what another issuer says of Google’s machines is no fact of Google’s', () => {
  const google = { compute_engine: { project_id: 'prod', instance_id: '1', zone: 'z' } };
  const facts = factsOfClaims({ iss: 'https://issuer.example', sub: 'someone', google })!;
  assert.deepEqual(Object.keys(facts).sort(), ['oidc:iss', 'oidc:sub']);
});

test('claims that nobody can count do not crowd out who it is', () => {
  const many = Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`c${i}`, 'x'.repeat(100)]));
  const facts = factsOfClaims({ ...many, sub: 'someone', iss: 'https://issuer.example' })!;
  assert.deepEqual(facts['oidc:sub'], ['someone']);
  assert.deepEqual(facts['oidc:iss'], ['https://issuer.example']);
});

test('whatever the claims are, facts are what the ledger takes', () => {
  const claim = fc.oneof(fc.jsonValue(), fc.string({ unit: 'binary', maxLength: 2000 }));
  fc.assert(
    fc.property(fc.dictionary(fc.string(), claim), (claims) => {
      const facts = factsOfClaims(claims as Record<string, unknown>) ?? {};
      orderedFacts(facts, '');
      assert.ok(Object.values(facts).every((values) => values.length > 0 && !values.includes('')));
    }),
    { numRuns: 300 },
  );
});
