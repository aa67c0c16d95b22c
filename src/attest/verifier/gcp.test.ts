import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { GcpParameters } from '../../wire/attestor.ts';
import type { EvidenceFault, Verified } from '../evidence.ts';
import { gcpVerifier } from './gcp.ts';
import { KeySets } from './key-sets.ts';
import { NOW, signToken, tokenKey, verifierParts, web } from './testdata/verifier-parts.ts';

const ISSUER = 'https://accounts.google.com';
const KEYS_URL = 'https://www.googleapis.com/oauth2/v3/certs';
const SECONDS = NOW / 1000;
const key = tokenKey('google-1', 'rsa');
const PARAMETERS: GcpParameters = { projects: ['my-project'], audience: 'https://writ.example.com' };

/** The payload that Google's documentation shows. */
const MACHINE = {
  project_id: 'my-project',
  project_number: 739419398126,
  zone: 'us-west1-a',
  instance_id: '152986662232938449',
  instance_name: 'example',
  instance_creation_timestamp: 1496952205,
  license_id: ['1000204'],
};
const CLAIMS = {
  iss: ISSUER,
  iat: SECONDS - 5,
  exp: SECONDS + 3595,
  aud: 'https://writ.example.com',
  sub: '107517467455664443765',
  azp: '107517467455664443765',
  email: '739419398126-compute@developer.gserviceaccount.com',
  email_verified: true,
  google: { compute_engine: MACHINE },
};

function present(claims: object, header: object = {}, change: Partial<GcpParameters> = {}): Promise<Verified> {
  const site = web({
    [`${ISSUER}/.well-known/openid-configuration`]: { issuer: ISSUER, jwks_uri: KEYS_URL },
    [KEYS_URL]: { keys: [key.jwk] },
  });
  const parts = verifierParts({ fetch: site.fetch });
  const { parse, verify } = gcpVerifier(new KeySets({ clock: parts.clock, fetch: site.fetch }));
  const token = signToken(
    key.privateKey,
    { alg: 'RS256', kid: 'google-1', typ: 'JWT', ...header },
    { ...CLAIMS, ...claims },
  );
  return verify({ kind: 'gcp', attestor: 'test', token }, parse({ ...PARAMETERS, ...change } as never), parts);
}

test('a machine of the project is let in by what its token says, once', async () => {
  const verified = await present({});
  assert.ok(verified.accepted);
  assert.deepEqual(verified.facts, {
    'gcp:project_id': ['my-project'],
    'gcp:project_number': ['739419398126'],
    'gcp:zone': ['us-west1-a'],
    'gcp:instance_id': ['152986662232938449'],
    'gcp:instance_name': ['example'],
    'gcp:service_account': ['739419398126-compute@developer.gserviceaccount.com'],
    'oidc:sub': ['107517467455664443765'],
  });
  assert.equal(verified.reference, '152986662232938449 of my-project');
  assert.equal(verified.once!.until, NOW + 3655_000);
});

describe('forged and foreign tokens are refused', () => {
  const machine = (change: object): object => ({ google: { compute_engine: { ...MACHINE, ...change } } });
  const cases: readonly { name: string; claims: object; header?: object; fault: EvidenceFault }[] = [
    { name: 'another project', claims: machine({ project_id: 'other' }), fault: 'not-admitted' },
    { name: 'another audience', claims: { aud: 'https://other.example.com' }, fault: 'wrong-audience' },
    { name: 'another issuer', claims: { iss: 'https://accounts.example.com' }, fault: 'wrong-issuer' },
    { name: 'the issuer without its scheme', claims: { iss: 'accounts.google.com' }, fault: 'wrong-issuer' },
    { name: 'a person', claims: { google: undefined }, fault: 'malformed' },
    { name: 'a machine without number', claims: machine({ instance_id: undefined }), fault: 'malformed' },
    { name: 'an expired one', claims: { exp: SECONDS - 60 }, fault: 'expired' },
    { name: 'another key', claims: {}, header: { kid: 'google-2' }, fault: 'unknown-key' },
    { name: 'another algorithm', claims: {}, header: { alg: 'PS256' }, fault: 'wrong-algorithm' },
  ];
  for (const { name, claims, header, fault } of cases) {
    test(name, async () => {
      const verified = await present(claims, header);
      assert.equal(verified.accepted ? 'none' : verified.fault, fault);
    });
  }
});

test('an address of mail that nobody has checked is no service account', async () => {
  const verified = await present({ email_verified: false });
  assert.ok(verified.accepted && verified.facts['gcp:service_account'] === undefined);
});
