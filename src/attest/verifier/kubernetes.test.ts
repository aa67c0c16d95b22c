import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { encodePem } from '../../der/pem.ts';
import { outbound } from '../../http/outbound.ts';
import { toBase64url } from '../../jwt/base64url.ts';
import { issue } from '../../x509/path/testdata/issue.ts';
import type { EvidenceFault, Verified } from '../evidence.ts';
import { type KubernetesOptions, kubernetesVerifier } from './kubernetes.ts';
import { type Account, type FakeCluster, fakeCluster } from './testdata/token-review.ts';
import { NOW, verifierParts } from './testdata/verifier-parts.ts';

const fetch = outbound({ allowHttp: false, allowNetworks: ['127.0.0.0/8'], timeout: 2000 }, 'test');
const SECONDS = NOW / 1000;

const CLAIMS = {
  aud: ['writ'],
  exp: SECONDS + 3600,
  iat: SECONDS,
  iss: 'https://kubernetes.default.svc.cluster.local',
  jti: 'ea28ed49-2e11-4280-9ec5-bc3d1d84661a',
  sub: 'system:serviceaccount:agents:planner',
};
/** The cluster looks at signatures; here every token that is in its list is signed. */
const tokenOf = (claims: object = {}, signature = 'c2lnbmVk'): string =>
  `${toBase64url('{"alg":"RS256","kid":"k"}')}.${toBase64url(JSON.stringify({ ...CLAIMS, ...claims }))}.${signature}`;

const PLANNER: Account = {
  username: 'system:serviceaccount:agents:planner',
  uid: 'a087d5a0-e1dd-43ec-93ac-f13d89cd13af',
  groups: ['system:serviceaccounts', 'system:serviceaccounts:agents', 'system:authenticated'],
  extra: {
    'authentication.kubernetes.io/credential-id': ['JTI=ea28ed49-2e11-4280-9ec5-bc3d1d84661a'],
    'authentication.kubernetes.io/node-name': ['node-7'],
    'authentication.kubernetes.io/node-uid': ['58456cb0-dd00-45ed-b797-5578fdceaced'],
    'authentication.kubernetes.io/pod-name': ['planner-69cbfb9798-jv9gn'],
    'authentication.kubernetes.io/pod-uid': ['778a530c-b3f4-47c0-9cd5-ab018fb64f33'],
  },
  audiences: ['writ'],
};

const REVIEWER = 'reviewer';
const asReviewer: KubernetesOptions = { reviewer: async () => REVIEWER };

function present(
  token: string,
  cluster: FakeCluster,
  change: { readonly ca?: string; readonly reusable?: boolean } = {},
  options = asReviewer,
): Promise<Verified> {
  const { parse, verify } = kubernetesVerifier(options);
  const parameters = parse({
    server: `${cluster.url}/`,
    audience: 'writ',
    ...change,
    ca: [change.ca ?? cluster.ca],
  } as never);
  return verify({ kind: 'k8s', attestor: 'test', token }, parameters, verifierParts({ fetch }));
}

const faultOf = (verified: Verified): EvidenceFault | 'none' => (verified.accepted ? 'none' : verified.fault);

async function withPlanner(): Promise<FakeCluster> {
  const cluster = await fakeCluster();
  cluster.reviewers.add(REVIEWER);
  cluster.accounts.set(tokenOf(), PLANNER);
  return cluster;
}

test('a pod is let in by what the cluster says of its token, once', async () => {
  await using cluster = await withPlanner();
  const verified = await present(tokenOf(), cluster);
  assert.ok(verified.accepted);
  assert.deepEqual(verified.facts, {
    'k8s:namespace': ['agents'],
    'k8s:service_account': ['planner'],
    'k8s:service_account_uid': ['a087d5a0-e1dd-43ec-93ac-f13d89cd13af'],
    'k8s:pod': ['planner-69cbfb9798-jv9gn'],
    'k8s:pod_uid': ['778a530c-b3f4-47c0-9cd5-ab018fb64f33'],
    'k8s:node': ['node-7'],
    'k8s:node_uid': ['58456cb0-dd00-45ed-b797-5578fdceaced'],
  });
  assert.equal(verified.reference, 'system:serviceaccount:agents:planner');
  assert.equal(verified.once!.until, NOW + 3660_000);
  const again = await present(tokenOf(), cluster, { reusable: true });
  assert.ok(again.accepted && again.once === undefined);
});

test('a token whose pod is gone is valid no more, though it has not expired', async () => {
  await using cluster = await withPlanner();
  cluster.accounts.clear();
  assert.equal(faultOf(await present(tokenOf(), cluster)), 'not-authenticated');
});

describe('what the cluster is not asked about', () => {
  const cases: readonly { name: string; token: string; fault: EvidenceFault }[] = [
    { name: 'another audience', token: tokenOf({ aud: ['https://kubernetes.default.svc'] }), fault: 'wrong-audience' },
    { name: 'no audience', token: tokenOf({ aud: undefined }), fault: 'wrong-audience' },
    { name: 'an expired one', token: tokenOf({ exp: SECONDS - 60 }), fault: 'expired' },
    { name: 'an end that is no number', token: tokenOf({ exp: '1' }), fault: 'malformed' },
    { name: 'a user', token: tokenOf({ sub: 'system:admin' }), fault: 'malformed' },
    { name: 'an account with a line break', token: tokenOf({ sub: `${CLAIMS.sub}\n` }), fault: 'malformed' },
    { name: 'no token', token: 'x', fault: 'malformed' },
  ];
  for (const { name, token, fault } of cases) {
    test(name, async () => {
      await using cluster = await withPlanner();
      assert.equal(faultOf(await present(token, cluster)), fault);
      assert.equal(cluster.reviews, 0);
    });
  }
});

describe('what the cluster does not vouch for', () => {
  test('a token that nobody signed', async () => {
    await using cluster = await withPlanner();
    assert.equal(faultOf(await present(tokenOf({}, 'AAAA'), cluster)), 'not-authenticated');
  });

  test('a token for another audience, whatever it says of itself', async () => {
    await using cluster = await withPlanner();
    cluster.accounts.set(tokenOf(), { ...PLANNER, audiences: ['vault'] });
    assert.equal(faultOf(await present(tokenOf(), cluster)), 'not-authenticated');
  });

  test('a token that a server without audiences looked at', async () => {
    await using cluster = await withPlanner();
    cluster.unaware = true;
    assert.equal(faultOf(await present(tokenOf(), cluster)), 'wrong-audience');
  });

  test('somebody who is no service account', async () => {
    await using cluster = await withPlanner();
    cluster.accounts.set(tokenOf(), { ...PLANNER, username: 'system:node:node-7' });
    assert.equal(faultOf(await present(tokenOf(), cluster)), 'not-admitted');
  });
});

describe('a cluster that cannot be asked', () => {
  test('has another root', async () => {
    await using cluster = await withPlanner();
    const ca = encodePem('CERTIFICATE', issue('kubernetes', { ca: true }).certificate.raw);
    assert.equal(faultOf(await present(tokenOf(), cluster, { ca })), 'unreachable');
    assert.equal(cluster.reviews, 0);
  });

  test('lets this server ask nothing', async () => {
    await using cluster = await withPlanner();
    cluster.reviewers.clear();
    assert.equal(faultOf(await present(tokenOf(), cluster)), 'unreachable');
  });

  test('is gone', async () => {
    const cluster = await withPlanner();
    await cluster[Symbol.asyncDispose]();
    assert.equal(faultOf(await present(tokenOf(), cluster)), 'unreachable');
  });
});

test('without a token of its own the server lets the presented one ask about itself', async () => {
  await using cluster = await withPlanner();
  assert.equal(faultOf(await present(tokenOf(), cluster, {}, {})), 'unreachable');
  cluster.reviewers.add(tokenOf());
  assert.equal(faultOf(await present(tokenOf(), cluster, {}, {})), 'none');
});

test('strangers cannot make the server ask more than so much at once', async () => {
  await using cluster = await withPlanner();
  const { promise, resolve } = Promise.withResolvers<void>();
  cluster.before = promise;
  const { parse, verify } = kubernetesVerifier({ ...asReviewer, mostAtOnce: 2 });
  const parameters = parse({ server: cluster.url, ca: [cluster.ca], audience: 'writ' } as never);
  const ask = (): Promise<Verified> =>
    verify({ kind: 'k8s', attestor: 'test', token: tokenOf() }, parameters, verifierParts({ fetch }));
  const all = Array.from({ length: 5 }, ask);
  const early = await Promise.all(all.slice(2));
  assert.deepEqual(early.map(faultOf), ['unreachable', 'unreachable', 'unreachable']);
  resolve();
  assert.deepEqual((await Promise.all(all.slice(0, 2))).map(faultOf), ['none', 'none']);
  assert.equal(faultOf(await ask()), 'none');
});
