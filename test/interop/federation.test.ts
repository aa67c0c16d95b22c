/** SPIFFE Federation with go-spiffe at the other end, both ways, and tokens that its library validates. */
import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { connect } from '../../src/sdk/enrolment/connect.ts';
import { jwtSvidsOf } from '../../src/sdk/jwt-svid.ts';
import { fetchBundle } from '../../src/spiffe/fetch-bundle.ts';
import { authoritiesIn, judgeBundle } from '../../src/spiffe/judge-bundle.ts';
import type { TrustDomain } from '../../src/spiffe-id/trust-domain.ts';
import { parseCertificate } from '../../src/x509/certificate.ts';
import { testServer } from '../server.ts';
import { foreign, jwtKey, LOOPBACK, x509Key } from '../spiffe-conformance/endpoint.ts';
import { go, pathOf, skipOf } from './tools.ts';

const GO = go();
const skip = skipOf(GO);
const server = await testServer();
const at = (name: string): string => join(server.scratch, name);
const BUNDLE = '/v1/trust/bundle.json';

interface Said {
  readonly error?: string;
  readonly sequence?: number;
  readonly hint?: number;
  readonly x509?: number;
  readonly jwt?: number;
  readonly id?: string;
  readonly audience?: readonly string[];
}

function run(...args: string[]): Said {
  const { stdout } = spawnSync(at('federation'), args, { encoding: 'utf8', timeout: 30_000 });
  return JSON.parse(stdout) as Said;
}

let bundle: {
  readonly spiffe_sequence: number;
  readonly spiffe_refresh_hint: number;
  readonly keys: readonly object[];
};
before(() => {
  if (skip !== false) return;
  const folder = join(import.meta.dirname, 'go-federation');
  execFileSync(pathOf(GO), ['build', '-o', at('federation'), '.'], {
    cwd: folder,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
});

test('go-spiffe federates with Writ by https_spiffe and by https_web', { skip }, async () => {
  const identity = await connect({ token: await server.token('planner') });
  after(() => identity.close());
  const { trustDomain } = identity;
  writeFileSync(at('root.pem'), identity.credential.roots.join(''));
  const answer = await identity.fetch({ allow: 'writ/server' })(`${server.api}${BUNDLE}`);
  bundle = (await answer.json()) as typeof bundle;
  writeFileSync(at('bundle.json'), JSON.stringify(bundle));
  const want = { sequence: bundle.spiffe_sequence, hint: bundle.spiffe_refresh_hint, x509: 1, jwt: 1 };
  for (const listener of [server.open, server.api]) {
    const url = `${listener}${BUNDLE}`;
    assert.deepEqual(run('fetch', url, trustDomain, `spiffe://${trustDomain}/writ/server`, at('bundle.json')), want);
    assert.deepEqual(run('fetch-web', url, trustDomain, at('root.pem')), want);
    assert.match(
      run('fetch', url, trustDomain, `spiffe://${trustDomain}/writ/other`, at('bundle.json')).error ?? '',
      /unexpected ID/,
    );
  }

  const { token } = await jwtSvidsOf(identity)('https://reports.example.com');
  const validated = run('validate', trustDomain, at('bundle.json'), 'https://reports.example.com', token);
  assert.deepEqual(validated, { id: identity.spiffeId, audience: ['https://reports.example.com'] });
  assert.notEqual(run('validate', trustDomain, at('bundle.json'), 'https://other.example.com', token).error, undefined);
});

test('Writ federates with an endpoint of go-spiffe', { skip }, async () => {
  const partner = foreign();
  const shown = partner.leaf({ uri: 'spiffe://partner.example/bundles' });
  writeFileSync(
    at('partner.json'),
    JSON.stringify({ spiffe_sequence: 7, spiffe_refresh_hint: 60, keys: [x509Key(partner), jwtKey('a').jwk] }),
  );
  writeFileSync(at('partner.pem'), shown.pem);
  writeFileSync(at('partner.key'), shown.keyPem, { mode: 0o600 });
  const child = spawn(
    at('federation'),
    ['serve', 'partner.example', at('partner.json'), at('partner.pem'), at('partner.key')],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  after(() => child.kill('SIGKILL'));
  const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
  const { listening } = JSON.parse(line) as { listening: string };
  const target = {
    profile: 'https_spiffe',
    endpointId: 'spiffe://partner.example/bundles',
    url: `https://${listening}/`,
  } as const;
  const fetched = await fetchBundle(target, {
    allowed: LOOPBACK,
    authorities: async () => [parseCertificate(partner.der)],
    now: Date.now,
  });
  assert.ok(fetched.fetched, JSON.stringify(fetched));
  const judged = judgeBundle(fetched.octets, undefined, { trustDomain: 'agents.example.com' as TrustDomain, keys: [] });
  assert.ok(judged.taken, JSON.stringify(judged));
  const { sequence, refreshHint, keys } = judged.bundle;
  assert.deepEqual([sequence, refreshHint, keys.length], [7, 60, 2]);
  assert.deepEqual(authoritiesIn(judged.bundle)[0]!.raw, partner.der);
});
