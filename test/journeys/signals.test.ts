/** Shared Signals between a running server and others: stops are told by push and poll, and a signal from outside holds. */
import assert from 'node:assert/strict';
import { createHash, generateKeyPairSync, randomUUID, sign } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import type { OperatorCredential } from '../../src/cli/credential.ts';
import { Client } from '../../src/http/client.ts';
import { parseJwks, type VerificationKey } from '../../src/jwt/jwk.ts';
import { assembleJws, signingInput, verifyJws } from '../../src/jwt/jws.ts';
import { type Receiver, receiver } from '../../src/status/testdata/ssf-world.ts';
import { type TestServer, testServer } from '../server.ts';

const CAEP = 'https://schemas.openid.net/secevent/caep/event-type';
const BEARER = randomUUID();
const theirs = generateKeyPairSync('ed25519');

const first = await testServer();
const jwks = join(first.scratch, 'theirs.jwks');
const bearer = join(first.scratch, 'theirs.token');
writeFileSync(jwks, JSON.stringify({ keys: [{ ...theirs.publicKey.export({ format: 'jwk' }), kid: 'k' }] }));
writeFileSync(bearer, `${BEARER}\n`, { mode: 0o600 });
const configFile = join(first.data, 'config.json');
const config = JSON.parse(readFileSync(configFile, 'utf8')) as object;
const signals = {
  issuer: 'https://writ.agents.example.com',
  receivers: { allowHttp: true, allowNetworks: ['127.0.0.0/8'] },
  trusted: [{ issuer: 'https://risk.example.com', audience: 'urn:writ', jwksFile: jwks, tokenFile: bearer }],
};
writeFileSync(configFile, JSON.stringify({ ...config, signals }));
let server: TestServer = await first.restart();

interface Answer {
  readonly status: number;
  readonly body: Record<string, unknown>;
}

const credential = (): OperatorCredential => JSON.parse(readFileSync(server.operator, 'utf8')) as OperatorCredential;

async function ask(method: 'GET' | 'POST' | 'DELETE', path: string, body?: unknown): Promise<Answer> {
  const { roots, chain, key } = credential();
  const one = new Client({ server: server.api, roots, credential: { key, chain: chain.join('') } });
  try {
    const answer = await one.send({ method, path, ...(body === undefined ? {} : { body }) });
    const text = answer.body.toString('utf8');
    return { status: answer.status, body: text === '' ? {} : (JSON.parse(text) as Record<string, unknown>) };
  } finally {
    one.close();
  }
}

async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const end = Date.now() + 10_000;
  while (!(await holds())) {
    assert.ok(Date.now() < end, `in vain: ${what}`);
    await pause(20);
  }
}

async function keys(): Promise<readonly VerificationKey[]> {
  const { body } = await ask('GET', '/v1/signals/jwks.json');
  return parseJwks(Buffer.from(JSON.stringify(body)), 'ours');
}

async function enrolled(agent: string): Promise<string> {
  await server.json(
    'agent',
    'register',
    agent,
    '--team',
    'tests',
    '--sponsor',
    'ada@example.com',
    '--purpose',
    'tests',
  );
  await server.json('enrol', '--agent', agent, '--out', join(server.scratch, randomUUID()));
  const { items } = await server.json<{ items: { id: string }[] }>('instance', 'list', agent);
  return items.at(-1)!.id;
}

const eventsOf = (there: Receiver): string[] =>
  there.tokens.map((token) => {
    const claims = JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString()) as { events: object };
    return Object.keys(claims.events)[0]!.replace(`${CAEP}/`, '');
  });

test('a stop is told by push and poll, with a signature that the published keys verify', async () => {
  const { body: configuration } = await ask('GET', '/.well-known/ssf-configuration');
  assert.equal(configuration['issuer'], signals.issuer);
  await using there = await receiver();
  const delivery = { method: 'urn:ietf:rfc:8935', endpoint_url: there.url, authorization_header: 'Bearer wanted' };
  const pushed = await ask('POST', '/v1/signals/streams', { delivery, aud: 'urn:them' });
  const polled = await ask('POST', '/v1/signals/streams', {});
  assert.deepEqual([pushed.status, polled.status], [201, 201]);
  assert.equal(JSON.stringify(pushed.body).includes('wanted'), false);
  const instance = await enrolled('planner');
  await server.json('instance', 'stop', instance, '--yes', '--cause', 'decommissioned');
  await until('two SETs are pushed', () => there.tokens.length >= 2);
  assert.deepEqual(eventsOf(there).sort(), ['credential-change', 'session-revoked']);
  assert.equal(there.headers[0]!['authorization'], 'Bearer wanted');
  const ours = await keys();
  for (const token of there.tokens) {
    const result = verifyJws(token, { keys: ours, typ: 'secevent+jwt' });
    assert.ok(result.ok, result.ok ? '' : result.why);
    const { uri } = result.claims['sub_id'] as { uri: string };
    assert.equal(uri.endsWith(`/agent/planner/${instance}`), true, uri);
  }
  const id = String(polled.body['stream_id']);
  let sets: Record<string, string> = {};
  await until('two SETs can be polled', async () => {
    const { body } = await ask('POST', `/v1/signals/poll/${id}`, { returnImmediately: true });
    sets = body['sets'] as Record<string, string>;
    return Object.keys(sets).length >= 2;
  });
  const ack = await ask('POST', `/v1/signals/poll/${id}`, { maxEvents: 0, ack: Object.keys(sets) });
  assert.deepEqual(ack.body, { sets: {}, moreAvailable: false });
  const { items } = await server.json<{ items: Record<string, unknown>[] }>('signals', 'list');
  assert.deepEqual(
    items.map(({ writ_delivered, writ_waiting }) => [writ_delivered, writ_waiting]),
    [
      [2, 0],
      [2, 0],
    ],
  );
  for (const { body } of [pushed, polled]) {
    assert.equal((await ask('DELETE', `/v1/signals/streams?stream_id=${String(body['stream_id'])}`)).status, 204);
  }
});

function set(claims: Readonly<Record<string, unknown>>): string {
  const common = {
    iss: 'https://risk.example.com',
    aud: 'urn:writ',
    jti: randomUUID(),
    iat: Math.floor(Date.now() / 1000),
  };
  const input = signingInput({ alg: 'EdDSA', typ: 'secevent+jwt', kid: 'k' }, { ...common, ...claims });
  return assembleJws(input, sign(null, Buffer.from(input), theirs.privateKey));
}

async function push(token: string, authorization = `Bearer ${BEARER}`): Promise<Answer> {
  const { roots } = credential();
  const headers = { 'Content-Type': 'application/secevent+jwt', Authorization: authorization };
  return new Promise((resolve, reject) => {
    const sent = request(`${server.open}/v1/signals`, { method: 'POST', headers, ca: [...roots] }, (answer) => {
      let text = '';
      answer.on('data', (chunk: Buffer) => (text += chunk.toString()));
      answer.on('end', () => resolve({ status: answer.statusCode!, body: text === '' ? {} : JSON.parse(text) }));
    });
    sent.on('error', reject);
    sent.end(token);
  });
}

test('a high risk from a trusted issuer holds the instance, for a person to judge', async () => {
  const instance = await enrolled('risky');
  const { trustDomain } = JSON.parse(readFileSync(configFile, 'utf8')) as { trustDomain: string };
  const uri = `spiffe://${trustDomain}/agent/risky/${instance}`;
  const high = (level: string): Record<string, unknown> => ({
    sub_id: { format: 'complex', device: { format: 'opaque', id: 'x' }, user: { format: 'uri', uri } },
    events: { [`${CAEP}/risk-level-change`]: { principal: 'USER', current_level: level } },
  });
  const stops = async (): Promise<readonly Record<string, unknown>[]> =>
    (await ask('GET', '/v1/stops')).body['items'] as readonly Record<string, unknown>[];
  assert.equal((await push(set(high('MEDIUM')))).status, 202);
  assert.equal((await push(set(high('HIGH')), 'Bearer someone-else-entirely')).status, 400);
  assert.deepEqual((await push(set({ ...high('HIGH'), aud: 'urn:other' }))).body['err'], 'invalid_audience');
  assert.deepEqual(await stops(), []);
  const token = set({ ...high('HIGH'), jti: 'signal-7' });
  assert.equal((await push(token)).status, 202);
  assert.equal((await push(token)).status, 202, 'a repeat is taken');
  const [stop, ...more] = await stops();
  assert.deepEqual([stop?.['state'], more.length], ['quarantined', 0], JSON.stringify(stop));
  const { items } = await server.json<{ items: Record<string, unknown>[] }>(
    'ledger',
    'list',
    '--subject',
    `instance:${instance}`,
  );
  const received = items.filter(({ type }) => type === 'signal.received');
  assert.deepEqual(
    received.map(({ body }) => body),
    [
      {
        caller: 'system:signal',
        event: `${CAEP}/risk-level-change`,
        issuer: 'https://risk.example.com',
        jti: 'signal-7',
        outcome: 'quarantined',
      },
    ],
  );
  const held = items.find(({ type }) => type === 'instance.quarantined')?.['body'] as Record<string, unknown>;
  assert.deepEqual(
    [held['caller'], held['cause'], held['evidence']],
    ['system:signal', 'risk_signal', 'https://risk.example.com/#jti=signal-7'],
  );
});

test('another key follows the one that signs, with time for receivers to fetch it, and at once where one was stolen', async () => {
  await using there = await receiver();
  const delivery = { method: 'urn:ietf:rfc:8935', endpoint_url: there.url };
  const kids = async (): Promise<(string | undefined)[]> => (await keys()).map(({ kid }) => kid);
  const signedBy = async (): Promise<string> => {
    const before = there.tokens.length;
    const { body } = await ask('POST', '/v1/signals/streams', { delivery });
    await ask('POST', '/v1/signals/verify', { stream_id: body['stream_id'] });
    await until('a verification comes', () => there.tokens.length > before);
    await ask('DELETE', `/v1/signals/streams?stream_id=${String(body['stream_id'])}`);
    const [header] = there.tokens.at(-1)!.split('.');
    return (JSON.parse(Buffer.from(header!, 'base64url').toString()) as { kid: string }).kid;
  };
  const [first] = await kids();
  const { kid: second } = await server.json<{ kid: string }>('signals', 'rotate-key');
  assert.deepEqual(await kids(), [first, second]);
  assert.equal(await signedBy(), first);
  const { kid: third } = await server.json<{ kid: string }>('signals', 'rotate-key', '--at-once');
  assert.deepEqual(await kids(), [third]);
  // A process looks once a second which key signs.
  await pause(1100);
  assert.equal(await signedBy(), third);
});

// The last, since the server that it starts ends with it.
test('what a receiver missed while the server was down comes after a restart, under the same name', async () => {
  await using there = await receiver();
  const delivery = { method: 'urn:ietf:rfc:8935', endpoint_url: there.url };
  const { body } = await ask('POST', '/v1/signals/streams', { delivery });
  there.answers.push(...Array.from({ length: 3 }, () => ({ status: 503 })));
  await ask('POST', '/v1/signals/verify', { stream_id: body['stream_id'], state: 'still there' });
  await until('the first attempt fails', () => there.tokens.length >= 1);
  server = await server.restart();
  await until('it is taken', async () => {
    const { items } = await server.json<{ items: Record<string, unknown>[] }>('signals', 'list');
    return items.at(-1)!['writ_delivered'] === 1;
  });
  const names = new Set(there.tokens.map((token) => createHash('sha256').update(token.split('.')[1]!).digest('hex')));
  assert.deepEqual([names.size, there.tokens.length], [1, 4]);
  await ask('DELETE', `/v1/signals/streams?stream_id=${String(body['stream_id'])}`);
});
