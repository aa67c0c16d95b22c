/** An OAuth server that knows nothing of SPIFFE takes tokens by discovery and key set alone: PyJWT, through rotations of the keys. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, test } from 'node:test';
import { connect } from '../../src/sdk/enrolment/connect.ts';
import { jwtSvidsOf } from '../../src/sdk/jwt-svid.ts';
import { testServer } from '../server.ts';
import { pathOf, pythonWithSpiffe, skipOf } from './tools.ts';

const PYTHON = pythonWithSpiffe();
const AUDIENCE = 'https://reports.example.com';

interface Verdict {
  readonly refused?: string;
  readonly claims?: { readonly sub: string; readonly iss: string };
}

interface Found {
  readonly configuration: Readonly<Record<string, unknown>>;
  readonly headers: Readonly<Record<string, string>>;
  readonly keys: { readonly keys: readonly Readonly<Record<string, string>>[] };
  readonly key_headers: Readonly<Record<string, string>>;
}

test('tokens are taken by discovery alone, and through rotations of the keys', { skip: skipOf(PYTHON) }, async () => {
  const server = await testServer();
  const identity = await connect({ token: await server.token('planner') });
  after(() => identity.close());
  const roots = join(server.scratch, 'root.pem');
  writeFileSync(roots, identity.credential.roots.join(''));
  const anew = async (audience = AUDIENCE): Promise<string> => {
    const tokens = jwtSvidsOf(identity);
    return (await tokens(audience)).token;
  };
  const first = await anew();
  const { iss } = JSON.parse(Buffer.from(first.split('.')[1]!, 'base64url').toString()) as { iss: string };

  const { found, judge } = await oauthServer(iss, roots);
  const { configuration, headers, keys, key_headers: keyHeaders } = found;
  // OpenID Connect Discovery 1.0 §4.3: exactly the URL that was asked; §3: what has to be there, but for who logs in.
  assert.equal(configuration['issuer'], iss);
  assert.match(String(configuration['jwks_uri']), /^https:\/\//);
  assert.deepEqual(configuration['id_token_signing_alg_values_supported'], ['ES256']);
  assert.deepEqual(configuration['response_types_supported'], ['id_token']);
  assert.deepEqual(configuration['subject_types_supported'], ['public']);
  for (const one of [headers, keyHeaders]) {
    const named = new Map(Object.entries(one).map(([name, value]) => [name.toLowerCase(), value]));
    assert.equal(named.get('content-type'), 'application/json');
    assert.equal(named.get('cache-control'), 'public, max-age=300');
    assert.ok(named.has('etag'));
  }
  for (const key of keys.keys) {
    assert.deepEqual(Object.keys(key).sort(), ['alg', 'crv', 'kid', 'kty', 'use', 'x', 'y']);
    assert.deepEqual([key['alg'], key['use']], ['ES256', 'sig']);
  }

  assert.equal((await judge(first)).claims?.sub, identity.spiffeId);
  assert.equal((await judge(await anew('https://other.example.com'))).refused, 'InvalidAudienceError');
  assert.equal((await judge(`${first.slice(0, -8)}AAAAAAAA`)).refused, 'InvalidSignatureError');

  // The next key is published and signs nothing yet: nobody notices.
  await server.json('ca', 'rotate-jwt-key');
  const between = await anew();
  assert.equal(kidOf(between), kidOf(first));
  assert.equal((await judge(between)).claims?.sub, identity.spiffeId);
  // A stolen one: the new one signs now, and whoever fetches the keys believes nothing that the one before signed.
  await server.json('ca', 'rotate-jwt-key', '--at-once');
  const fresh = await anew();
  assert.notEqual(kidOf(fresh), kidOf(first));
  // PyJWT asks for a key that it does not know every half minute at most, so this is another one.
  const later = await oauthServer(iss, roots);
  assert.equal((await later.judge(fresh)).claims?.sub, identity.spiffeId);
  assert.equal((await later.judge(first)).refused, 'PyJWKClientError');
});

async function oauthServer(
  issuer: string,
  roots: string,
): Promise<{ readonly found: Found; readonly judge: (token: string) => Promise<Verdict> }> {
  const program = join(import.meta.dirname, 'python/oidc-client.py');
  const client = spawn(pathOf(PYTHON), [program, issuer, AUDIENCE, roots], { stdio: ['pipe', 'pipe', 'inherit'] });
  after(() => client.kill());
  const lines = createInterface(client.stdout)[Symbol.asyncIterator]();
  const answer = async <T>(): Promise<T> => JSON.parse(((await lines.next()) as { value: string }).value) as T;
  return {
    found: await answer<Found>(),
    async judge(token) {
      client.stdin.write(`${JSON.stringify({ token })}\n`);
      return answer<Verdict>();
    },
  };
}

function kidOf(token: string): string {
  return (JSON.parse(Buffer.from(token.split('.')[0]!, 'base64url').toString()) as { kid: string }).kid;
}
