/** Two installations believe one another by SPIFFE alone: each proves itself by the certificate that it has anyway. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { validateJwtSvid } from '../../src/jwt/jwt-svid.ts';
import { parseSpiffeBundle } from '../../src/jwt/spiffe-bundle.ts';
import { connect } from '../../src/sdk/enrolment/connect.ts';
import { type Credential, pemOf } from '../../src/sdk/identity/credential.ts';
import type { IssuedCertificate } from '../../src/wire/certificate.ts';
import type { FederatedBundles, Federation } from '../../src/wire/federation.ts';
import type { JwtSvid } from '../../src/wire/jwt-svid.ts';
import { type TestServer, testServer } from '../server.ts';
import { csrFor, newKey } from './clients.ts';

const AUDIENCE = 'https://reports.example.com';

/** A server whose partners may stand on loopback. */
async function start(domain: string): Promise<TestServer> {
  const server = await testServer({ args: ['--trust-domain', domain] });
  const path = join(server.data, 'config.json');
  const config = JSON.parse(readFileSync(path, 'utf8')) as object;
  writeFileSync(path, JSON.stringify({ ...config, federation: { allowNetworks: ['127.0.0.0/8', '::1/128'] } }), {
    mode: 0o600,
  });
  return server.restart();
}

/** A document that anybody may have. */
function open(server: TestServer, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    request(`${server.open}${path}`, { rejectUnauthorized: false }, (answer) => {
      let text = '';
      answer.on('data', (chunk: Buffer) => (text += chunk.toString()));
      answer.on('end', () => resolve(text));
    })
      .on('error', reject)
      .end();
  });
}

async function until<T>(look: () => Promise<T | undefined>): Promise<T> {
  for (let tries = 0; tries < 100; tries++) {
    const found = await look();
    if (found !== undefined) return found;
    await pause(100);
  }
  throw new Error('it did not come');
}

/** Has `here` believe `there`. */
async function believe(here: TestServer, there: TestServer, domain: string): Promise<void> {
  const file = join(here.scratch, `${domain}.json`);
  writeFileSync(file, await open(there, '/v1/trust/bundle.json'));
  const url = `${there.open}/v1/trust/bundle.json`;
  const endpoint = ['--endpoint-id', `spiffe://${domain}/writ/server`, '--bundle-file', file];
  await here.json('federation', 'add', domain, '--url', url, '--profile', 'https_spiffe', ...endpoint);
}

const show = (server: TestServer, domain: string): Promise<Federation> =>
  server.json<Federation>('federation', 'show', domain);

test('both ways, by SPIFFE alone; and what was fetched goes on counting while the other side is away', async () => {
  const [red, blue] = [await start('red.example.com'), await start('blue.example.com')];
  await believe(red, blue, 'blue.example.com');
  await believe(blue, red, 'red.example.com');
  for (const [server, domain] of [
    [red, 'blue.example.com'],
    [blue, 'red.example.com'],
  ] as const) {
    const found = await until(async () => {
      const one = await show(server, domain);
      return one.good_at === undefined ? undefined : one;
    });
    assert.deepEqual([found.status, found.roots.length, found.jwt_keys.length], ['good', 1, 1]);
  }
  // Under a name that is not theirs none of them would be believed, and nothing else would say why.
  const bundle = ['--bundle-file', join(red.scratch, 'blue.example.com.json')];
  const endpoint = ['--profile', 'https_web', '--url', 'https://blue.example.com/bundle.json'];
  const mistyped = await red.cli('federation', 'add', 'blu.example.com', ...endpoint, ...bundle);
  assert.match(mistyped.stderr, /those of blue\.example\.com, not of blu\.example\.com/);
  const right = await red.cli('federation', 'replace', 'blue.example.com', ...bundle);
  assert.equal(right.code, 0, right.stderr);
  assert.doesNotMatch(right.stderr, /not of/);
  await red.json('federation', 'remove', 'blu.example.com');

  const agent = await connect({ token: await red.token('planner'), store: join(red.scratch, 'planner') });
  after(() => agent.close());
  const relying = await connect({
    token: await blue.token('reports', 'service'),
    store: join(blue.scratch, 'reports'),
  });
  after(() => relying.close());
  const { token, spiffe_id: id } = await post<JwtSvid>(red, agent.credential, '/v1/jwt-svids', {
    audience: [AUDIENCE],
  });
  assert.equal(id, agent.spiffeId);

  const validated = async (): Promise<string> => {
    const { trust_domains: bundles } = await get<FederatedBundles>(blue, relying.credential, '/v1/trust/federated');
    const result = validateJwtSvid(token, {
      audience: AUDIENCE,
      now: Date.now(),
      keys: (domain) => {
        const bundle = bundles[domain];
        return bundle === undefined
          ? undefined
          : parseSpiffeBundle(Buffer.from(JSON.stringify(bundle)), domain).jwtKeys;
      },
    });
    return result.ok ? result.id.uri : result.fault;
  };
  assert.equal(await validated(), agent.spiffeId);
  // SPIFFE Trust Domain and Bundle §5.1.1: of when to ask again, the map as a whole would have to say.
  const { trust_domains: map } = await get<FederatedBundles>(blue, relying.credential, '/v1/trust/federated');
  assert.deepEqual(Object.keys(map['red.example.com']!).sort(), ['keys', 'spiffe_sequence']);

  // A machine gets the bundles that the entries of what it lets in name, and no others.
  const box = await connect({ token: await blue.token('box', 'service'), store: join(blue.scratch, 'box') });
  after(() => box.close());
  const given = async (): Promise<string[]> => {
    return Object.keys((await get<FederatedBundles>(blue, box.credential, '/v1/trust/federated')).trust_domains);
  };
  assert.deepEqual(await given(), ['red.example.com'], 'no entry says anything of it');
  const entry = ['entry', 'create', 'reports', '--node', 'box', '--match', 'unix:uid=1'] as const;
  const said = await blue.cli(...entry, '--federates-with', 'other.example.com', '--json');
  assert.match(said.stderr, /no federation with other\.example\.com yet/);
  const first = JSON.parse(said.stdout) as { id: string };
  assert.deepEqual(await given(), []);
  const known = await blue.cli(...entry, '--federates-with', 'red.example.com');
  assert.deepEqual([known.code, known.stderr], [0, '']);
  assert.deepEqual(await given(), ['red.example.com']);
  const child = newKey();
  const facts = { 'unix:uid': ['1'] };
  const asked = { csr: await csrFor(child), entry: first.id, facts };
  const { certificate, chain } = await post<IssuedCertificate>(blue, box.credential, '/v1/workloads', asked);
  const theirs = { ...box.credential, certificate, chain, key: child };
  const { trust_domains: none } = await get<FederatedBundles>(blue, theirs, '/v1/trust/federated');
  assert.deepEqual(none, {}, 'its own entry names another one');

  await red.stop();
  const refreshed = await blue.cli('federation', 'refresh', 'red.example.com', '--json');
  assert.equal(refreshed.code, 7, refreshed.stderr);
  const away = JSON.parse(refreshed.stdout) as Federation;
  assert.deepEqual([away.status, away.fault, away.jwt_keys.length], ['failing', 'unreachable', 1]);
  assert.equal(await validated(), agent.spiffeId);
  assert.match((await blue.cli('federation', 'list')).stderr, /writ federation show DOMAIN/);
  assert.match(
    (await blue.cli('federation', 'show', 'red.example.com')).stdout,
    /^try +see that this machine reaches/m,
  );

  await blue.json('federation', 'remove', 'red.example.com', '--yes');
  assert.equal(await validated(), 'trust_domain');
  const { items } = await blue.json<{ items: { type: string }[] }>(
    'ledger',
    'list',
    '--subject',
    'federation:red.example.com',
  );
  assert.deepEqual(
    items.map(({ type }) => type),
    ['federation.added', 'federation.bundle_changed', 'federation.removed'],
  );
});

function ask<T>(server: TestServer, credential: Credential, path: string, body?: object): Promise<T> {
  const { key, chain } = pemOf(credential);
  return new Promise((resolve, reject) => {
    const sent = request(
      `${server.api}${path}`,
      {
        ...{ method: body === undefined ? 'GET' : 'POST', key, cert: chain, ca: [...credential.roots] },
        headers: { 'Content-Type': 'application/json' },
      },
      (answer) => {
        let text = '';
        answer.on('data', (chunk: Buffer) => (text += chunk.toString()));
        answer.on('end', () =>
          (answer.statusCode ?? 500) < 300 ? resolve(JSON.parse(text) as T) : reject(new Error(text)),
        );
      },
    );
    sent.on('error', reject);
    sent.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

const post = <T>(server: TestServer, credential: Credential, path: string, body: object): Promise<T> =>
  ask<T>(server, credential, path, body);
const get = <T>(server: TestServer, credential: Credential, path: string): Promise<T> =>
  ask<T>(server, credential, path);
