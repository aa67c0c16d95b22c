import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { describe, test } from 'node:test';
import { isWritError } from '../../base/error.ts';
import { toBase64url } from '../../jwt/base64url.ts';
import type { OidcParameters } from '../../wire/attestor.ts';
import type { EvidenceFault, Verified } from '../evidence.ts';
import { KeySets } from './key-sets.ts';
import { oidcVerifier, parseOidc } from './oidc.ts';
import { NOW, signToken, tokenKey, verifierParts, web } from './testdata/verifier-parts.ts';

const ISSUER = 'https://token.actions.githubusercontent.com';
const KEYS_URL = `${ISSUER}/.well-known/jwks`;
const AUDIENCE = 'writ://agents.example.com';
const SECONDS = NOW / 1000;

const key = tokenKey('k1', 'rsa');
const parameters: OidcParameters = { issuer: ISSUER, audience: AUDIENCE };

/** A token of GitHub Actions, with the claims that its documentation shows. */
const CLAIMS = {
  jti: 'example-id',
  sub: 'repo:octo-org/octo-repo:environment:prod',
  environment: 'prod',
  aud: AUDIENCE,
  ref: 'refs/heads/main',
  sha: 'example-sha',
  repository: 'octo-org/octo-repo',
  repository_owner: 'octo-org',
  actor_id: '12',
  repository_visibility: 'private',
  repository_id: '74',
  repository_owner_id: '65',
  run_id: 'example-run-id',
  run_number: '10',
  run_attempt: '2',
  runner_environment: 'github-hosted',
  actor: 'octocat',
  workflow: 'example-workflow',
  head_ref: '',
  base_ref: '',
  event_name: 'workflow_dispatch',
  ref_type: 'branch',
  job_workflow_ref: 'octo-org/octo-automation/.github/workflows/oidc.yml@refs/heads/main',
  iss: ISSUER,
  nbf: SECONDS - 1,
  exp: SECONDS + 300,
  iat: SECONDS - 1,
};
const HEADER = { typ: 'JWT', alg: 'RS256', kid: 'k1' };

function issuer(keys: readonly object[] = [key.jwk]): ReturnType<typeof web> {
  return web({
    [`${ISSUER}/.well-known/openid-configuration`]: { issuer: ISSUER, jwks_uri: KEYS_URL },
    [KEYS_URL]: { keys },
  });
}

async function present(
  token: string,
  change: Partial<OidcParameters> = {},
  site: ReturnType<typeof web> = issuer(),
): Promise<Verified> {
  const parts = verifierParts({ fetch: site.fetch });
  const keySets = new KeySets({ clock: parts.clock, fetch: site.fetch });
  const { parse, verify } = oidcVerifier(keySets);
  return verify({ kind: 'oidc', attestor: 'test', token }, parse({ ...parameters, ...change } as never), parts);
}

const signed = (claims: object = {}, header: object = {}): string =>
  signToken(key.privateKey, { ...HEADER, ...header }, { ...CLAIMS, ...claims });
const faultOf = (verified: Verified): EvidenceFault | 'none' => (verified.accepted ? 'none' : verified.fault);

describe('a token of GitHub Actions', () => {
  test('is believed, and says what its claims say', async () => {
    const verified = await present(signed());
    assert.ok(verified.accepted);
    const { facts, reference, once, expiresAt } = verified;
    assert.deepEqual(facts['oidc:sub'], ['repo:octo-org/octo-repo:environment:prod']);
    assert.deepEqual(facts['oidc:iss'], [ISSUER]);
    assert.deepEqual(facts['oidc:claim/repository'], ['octo-org/octo-repo']);
    assert.deepEqual(facts['oidc:claim/job_workflow_ref'], [CLAIMS.job_workflow_ref]);
    assert.equal(
      Object.keys(facts).some((name) => /jti|exp|iat|head_ref/.test(name)),
      false,
    );
    assert.equal(reference, CLAIMS.sub);
    assert.equal(once!.until, NOW + 360_000);
    assert.equal(expiresAt, undefined);
  });

  test('is good once by its jti, whatever else it says and whoever signed it again', async () => {
    const first = await present(signed());
    const again = await present(signed({ sub: 'repo:octo-org/other:ref:x' }));
    const other = await present(signed({ jti: 'another' }));
    assert.ok(first.accepted && again.accepted && other.accepted);
    assert.deepEqual(first.once!.digest, again.once!.digest);
    assert.notDeepEqual(first.once!.digest, other.once!.digest);
  });
});

test('a token without jti is good once by what was signed, not by the signature', async () => {
  const ec = tokenKey('k1');
  const header = { typ: 'JWT', alg: 'ES256', kid: 'k1' };
  const claims = { ...CLAIMS, jti: undefined };
  const [one, two] = [signToken(ec.privateKey, header, claims), signToken(ec.privateKey, header, claims)];
  assert.notEqual(one, two);
  const [first, second] = [await present(one, {}, issuer([ec.jwk])), await present(two, {}, issuer([ec.jwk]))];
  assert.ok(first.accepted && second.accepted);
  assert.deepEqual(first.once!.digest, second.once!.digest);
});

describe('forged and foreign tokens are refused', () => {
  const other = tokenKey('k1', 'rsa');
  const cases: readonly { name: string; token: string; fault: EvidenceFault; change?: Partial<OidcParameters> }[] = [
    { name: 'another issuer', token: signed({ iss: 'https://gitlab.example.com' }), fault: 'wrong-issuer' },
    { name: 'an issuer that begins alike', token: signed({ iss: `${ISSUER}.evil.example` }), fault: 'wrong-issuer' },
    { name: 'an issuer with a slash more', token: signed({ iss: `${ISSUER}/` }), fault: 'wrong-issuer' },
    { name: 'another audience', token: signed({ aud: 'sts.amazonaws.com' }), fault: 'wrong-audience' },
    { name: 'several audiences', token: signed({ aud: [AUDIENCE, 'sts.amazonaws.com'] }), fault: 'wrong-audience' },
    { name: 'no audience', token: signed({ aud: undefined }), fault: 'wrong-audience' },
    { name: 'an empty list of audiences', token: signed({ aud: [] }), fault: 'wrong-audience' },
    { name: 'an expired one', token: signed({ exp: SECONDS - 60 }), fault: 'expired' },
    { name: 'one without an end', token: signed({ exp: undefined }), fault: 'malformed' },
    { name: 'an end that is a text', token: signed({ exp: '9999999999' }), fault: 'malformed' },
    { name: 'an end beyond all calendars', token: signed({ exp: 1e300 }), fault: 'malformed' },
    { name: 'one of tomorrow', token: signed({ nbf: SECONDS + 61 }), fault: 'not-yet-valid' },
    { name: 'one that was issued tomorrow', token: signed({ iat: SECONDS + 61 }), fault: 'not-yet-valid' },
    { name: 'one without a time of issue', token: signed({ iat: undefined }), fault: 'malformed' },
    { name: 'an old one', token: signed({ iat: SECONDS - 661 }), fault: 'too-old', change: { max_age_seconds: 600 } },
    { name: 'no subject', token: signed({ sub: undefined }), fault: 'malformed' },
    { name: 'a subject that is no text', token: signed({ sub: ['repo:octo-org/octo-repo'] }), fault: 'malformed' },
    { name: 'a key of another kid', token: signed({}, { kid: 'k2' }), fault: 'unknown-key' },
    {
      name: 'another key under the kid',
      token: signToken(other.privateKey, HEADER, CLAIMS),
      fault: 'bad-signature',
    },
    {
      name: 'no signature',
      token: `${toBase64url('{"alg":"none","typ":"JWT"}')}.${toBase64url(JSON.stringify(CLAIMS))}.`,
      fault: 'wrong-algorithm',
    },
    {
      name: 'an algorithm that the attestor does not allow',
      token: signed(),
      fault: 'wrong-algorithm',
      change: { algorithms: ['ES256'] },
    },
    { name: 'another type of token', token: signed({}, { typ: 'logout+jwt' }), fault: 'malformed' },
    { name: 'an extension that must be understood', token: signed({}, { crit: ['x'], x: 1 }), fault: 'malformed' },
    { name: 'a cut one', token: signed().slice(0, -2), fault: 'bad-signature' },
    { name: 'one that goes on', token: `${signed()}.e30`, fault: 'malformed' },
    { name: 'one that is too long', token: signed({ filler: 'x'.repeat(70_000) }), fault: 'malformed' },
    {
      name: 'a claim that must be something else',
      token: signed(),
      fault: 'not-admitted',
      change: { claims: { repository_owner: ['acme'] } },
    },
    {
      name: 'a claim that must be there',
      token: signed(),
      fault: 'not-admitted',
      change: { claims: { enterprise: ['acme'] } },
    },
  ];
  for (const { name, token, fault, change } of cases) {
    test(name, async () => assert.equal(faultOf(await present(token, change)), fault));
  }

  test('an algorithm that the published key is not for', async () => {
    const token = signed({}, { alg: 'PS256' });
    assert.equal(faultOf(await present(token)), 'none');
    assert.equal(faultOf(await present(token, {}, issuer([{ ...key.jwk, alg: 'RS256' }]))), 'unknown-key');
  });

  test('HMAC under the public key', async () => {
    const input = `${toBase64url('{"alg":"HS256","typ":"JWT","kid":"k1"}')}.${toBase64url(JSON.stringify(CLAIMS))}`;
    const secret = JSON.stringify(key.jwk);
    const token = `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`;
    assert.equal(faultOf(await present(token)), 'wrong-algorithm');
  });

  test('a key that the token brings itself, by any of the ways there are', async () => {
    const header = { jwk: other.jwk, jku: 'https://evil.example/keys', x5u: 'https://evil.example/x', kid: 'evil' };
    const site = issuer();
    site.pages['https://evil.example/keys'] = { keys: [other.jwk] };
    const token = signToken(other.privateKey, { ...HEADER, ...header }, CLAIMS);
    assert.equal(faultOf(await present(token, {}, site)), 'unknown-key');
    assert.equal(
      site.asked.some((url) => url.includes('evil')),
      false,
    );
  });

  test('a discovery document about somebody else, and one that sends elsewhere than https', async () => {
    for (const said of [
      { issuer: 'https://evil.example', jwks_uri: KEYS_URL },
      { issuer: ISSUER, jwks_uri: 'http://169.254.169.254/keys' },
      { issuer: ISSUER },
      'no JSON',
    ]) {
      const site = issuer();
      site.pages[`${ISSUER}/.well-known/openid-configuration`] = said;
      assert.equal(faultOf(await present(signed(), {}, site)), 'unreachable');
    }
  });

  test('a set of keys that cannot be used', async () => {
    for (const keys of [
      'no JSON',
      404,
      { keys: [] },
      { keys: [{ kty: 'oct', k: 'AAAA' }] },
      { keys: ' '.repeat(70_000) },
    ]) {
      const site = issuer();
      site.pages[KEYS_URL] = keys;
      assert.equal(faultOf(await present(signed(), {}, site)), 'unreachable');
    }
  });
});

test('times may differ by a minute', async () => {
  for (const claims of [{ exp: SECONDS - 59 }, { nbf: SECONDS + 60 }, { iat: SECONDS + 60 }]) {
    assert.equal(faultOf(await present(signed(claims))), 'none');
  }
});

test('an end between two milliseconds is kept as a whole number', async () => {
  const verified = await present(signed({ exp: SECONDS + 300.12345, iat: SECONDS - 0.5 }));
  assert.ok(verified.accepted);
  assert.equal(verified.once!.until, NOW + 360_124);
});

test('pinned keys are believed, and nobody is asked', async () => {
  const site = web({});
  const jwks = JSON.stringify({ keys: [key.jwk] });
  assert.equal(faultOf(await present(signed(), { jwks }, site)), 'none');
  assert.equal(faultOf(await present(signed({}, { kid: 'k2' }), { jwks }, site)), 'unknown-key');
  assert.deepEqual(site.asked, []);
  for (const bad of ['', '{}', '{"keys":[]}', JSON.stringify({ keys: [{ ...key.jwk, d: 'AA' }] })]) {
    assert.throws(
      () => parseOidc({ ...parameters, jwks: bad }),
      (error) => isWritError(error, 'bad_request') && error.field === '/jwks',
    );
  }
});

test('claims that the attestor demands let pass who has them', async () => {
  const claims = { repository_owner: ['octo-org', 'acme'], sub: [CLAIMS.sub] };
  assert.equal(faultOf(await present(signed(), { claims })), 'none');
});

test('a token from a file is taken again where the attestor says so', async () => {
  const verified = await present(signed(), { reusable: true });
  assert.ok(verified.accepted && verified.once === undefined);
});
