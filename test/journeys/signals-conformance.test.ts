/**
 * The interface of Shared Signals, statement by statement as the specifications have it: OpenID SSF 1.0 §7 and §8, RFC 8935
 * §2 and RFC 8936 §2, asked over the wire by a client that knows nothing of Writ.
 */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { join } from 'node:path';
import { test } from 'node:test';
import type { OperatorCredential } from '../../src/cli/credential.ts';
import { receiver } from '../../src/status/testdata/ssf-world.ts';
import { testServer } from '../server.ts';

const ISSUER = 'https://writ.agents.example.com';
const CAEP = 'https://schemas.openid.net/secevent/caep/event-type';
const VERIFICATION = 'https://schemas.openid.net/secevent/ssf/event-type/verification';
const [PUSH, POLL] = ['urn:ietf:rfc:8935', 'urn:ietf:rfc:8936'];
const BEARER = 'a-bearer-token-of-somebody';

const first = await testServer();
const configFile = join(first.data, 'config.json');
const [jwksFile, tokenFile] = [join(first.scratch, 'them.jwks'), join(first.scratch, 'them.token')];
const theirs = { kty: 'OKP', crv: 'Ed25519', x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo', kid: 'k' };
writeFileSync(jwksFile, JSON.stringify({ keys: [theirs] }));
writeFileSync(tokenFile, BEARER, { mode: 0o600 });
const signals = {
  issuer: ISSUER,
  receivers: { allowHttp: true, allowNetworks: ['127.0.0.0/8'] },
  trusted: [{ issuer: 'https://risk.example.com', audience: 'urn:writ', jwksFile, tokenFile }],
};
writeFileSync(configFile, JSON.stringify({ ...(JSON.parse(readFileSync(configFile, 'utf8')) as object), signals }));
const server = await first.restart();
const { roots, chain, key } = JSON.parse(readFileSync(server.operator, 'utf8')) as OperatorCredential;

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
  readonly body: Readonly<Record<string, unknown>>;
}

interface Sent {
  readonly body?: unknown;
  readonly type?: string;
  readonly authorization?: string;
  /** Without a client certificate, at the listener that asks for none. */
  readonly stranger?: boolean;
  /** The same where one is asked for. */
  readonly nameless?: boolean;
}

function ask(method: string, path: string, sent: Sent = {}): Promise<Answer> {
  const { body, type = 'application/json', authorization, stranger, nameless } = sent;
  const text = typeof body === 'string' ? body : body === undefined ? undefined : JSON.stringify(body);
  const headers = {
    ...(text === undefined ? {} : { 'Content-Type': type, 'Content-Length': Buffer.byteLength(text) }),
    ...(authorization === undefined ? {} : { Authorization: authorization }),
  };
  const tls = stranger === true || nameless === true ? {} : { cert: chain.join(''), key };
  return new Promise<Answer>((resolve, reject) => {
    const url = `${stranger === true ? server.open : server.api}${path}`;
    const going = request(url, { method, headers, ca: [...roots], agent: false, ...tls }, (answer) => {
      let said = '';
      answer.on('data', (chunk: Buffer) => (said += chunk.toString()));
      answer.on('end', () => {
        const json = said !== '' && String(answer.headers['content-type']).includes('json');
        const parsed = json ? (JSON.parse(said) as Answer['body']) : {};
        resolve({ status: answer.statusCode!, headers: answer.headers, text: said, body: parsed });
      });
    });
    going.on('error', reject);
    going.end(text);
  });
}

const STREAMS = '/v1/signals/streams';
const at = (id: unknown): string => `${STREAMS}?stream_id=${String(id)}`;
const NOBODY = '01jd0000000000000000000000';

async function stream(body: object = {}): Promise<Answer['body']> {
  const made = await ask('POST', STREAMS, { body });
  assert.equal(made.status, 201, made.text);
  return made.body;
}

test('the transmitter says of itself what §7 wants, to anybody', async () => {
  for (const stranger of [true, false]) {
    const { status, headers, body } = await ask('GET', '/.well-known/ssf-configuration', { stranger });
    assert.deepEqual([status, headers['content-type']], [200, 'application/json']);
    assert.deepEqual([body['spec_version'], body['issuer'], body['default_subjects']], ['1_0', ISSUER, 'ALL']);
    assert.deepEqual(body['delivery_methods_supported'], [PUSH, POLL]);
    for (const name of ['jwks_uri', 'configuration_endpoint', 'status_endpoint', 'verification_endpoint']) {
      assert.match(String(body[name]), /^https:\/\/writ\.agents\.example\.com\/v1\//, name);
    }
    for (const scheme of body['authorization_schemes'] as { spec_urn: string }[])
      assert.match(scheme.spec_urn, /^urn:/);
    // A list without a member is left out (§7.2.3), and what there is no route for is not named.
    for (const value of Object.values(body)) assert.notDeepEqual(value, []);
    assert.deepEqual([body['add_subject_endpoint'], body['remove_subject_endpoint']], [undefined, undefined]);
  }
});

test('a stream is made, read and ended (§8.1.1.1, §8.1.1.2, §8.1.1.5)', async () => {
  const made = await stream();
  const id = String(made['stream_id']);
  // RFC 3986 §2.3
  assert.match(id, /^[A-Za-z0-9._~-]+$/);
  assert.equal(made['iss'], ISSUER);
  assert.deepEqual(made['delivery'], { method: POLL, endpoint_url: `${ISSUER}/v1/signals/poll/${id}` });
  assert.deepEqual(made['events_delivered'], [`${CAEP}/session-revoked`, `${CAEP}/credential-change`]);
  const wished = [`${CAEP}/session-revoked`, 'urn:example:unknown'];
  const narrow = await stream({ events_requested: wished, description: 'narrow', delivery: { method: POLL } });
  assert.deepEqual([narrow['events_requested'], narrow['description']], [wished, 'narrow']);
  assert.deepEqual(narrow['events_delivered'], [`${CAEP}/session-revoked`]);
  const read = await ask('GET', at(id));
  assert.deepEqual([read.status, read.headers['cache-control'], read.body], [200, 'no-store', made]);
  const all = await ask('GET', STREAMS);
  assert.deepEqual(JSON.parse(all.text), [made, narrow]);
  for (const { body, status } of [
    { body: '{', status: 400 },
    { body: { delivery: { method: 'urn:ietf:rfc:1' } }, status: 400 },
    { body: { delivery: { method: PUSH } }, status: 400 },
  ]) {
    assert.equal((await ask('POST', STREAMS, { body })).status, status, JSON.stringify(body));
  }
  for (const one of [id, String(narrow['stream_id'])]) {
    const ended = await ask('DELETE', at(one));
    assert.deepEqual([ended.status, ended.text], [204, '']);
    assert.equal((await ask('DELETE', at(one))).status, 404);
    assert.equal((await ask('GET', at(one))).status, 404);
  }
  assert.equal((await ask('DELETE', STREAMS)).status, 400);
  assert.equal((await ask('GET', STREAMS)).text, '[]');
});

test('a stream is changed and replaced, and what only we can say is not (§8.1.1.3, §8.1.1.4)', async () => {
  const wished = [`${CAEP}/session-revoked`];
  const made = await stream({ description: 'first', events_requested: wished });
  const id = made['stream_id'];
  const change = (method: 'PATCH' | 'PUT', body: object) => ask(method, STREAMS, { body });
  const patched = await change('PATCH', { stream_id: id, description: 'second' });
  assert.deepEqual([patched.status, patched.body], [200, { ...made, description: 'second' }]);
  // As it was read, with a change, is how a receiver replaces.
  const replaced = await change('PUT', { ...patched.body, description: 'third' });
  assert.deepEqual([replaced.status, replaced.body], [200, { ...made, description: 'third' }]);
  const { description: _, events_requested: __, ...rest } = made;
  const less = await change('PUT', { stream_id: id, delivery: made['delivery'] });
  assert.deepEqual([less.status, less.body['description'], less.body['events_requested']], [200, undefined, undefined]);
  assert.deepEqual(less.body['events_delivered'], rest['events_supported']);
  for (const method of ['PATCH', 'PUT'] as const) {
    for (const wrong of [
      { iss: 'https://another.example.com' },
      { aud: 'urn:another' },
      { events_supported: ['urn:example:unknown'] },
      { events_delivered: wished },
      { min_verification_interval: 1 },
    ]) {
      const refused = await change(method, { stream_id: id, ...wrong });
      assert.equal(refused.status, 400, `${method} ${JSON.stringify(wrong)}`);
      assert.equal(refused.body['field'], `/${Object.keys(wrong)[0]}`);
    }
    assert.equal((await change(method, { description: 'whose?' })).status, 400);
    assert.equal((await change(method, { stream_id: NOBODY })).status, 404);
    assert.equal((await ask(method, STREAMS, { body: '[' })).status, 400);
    assert.equal((await ask(method, STREAMS, { body: { stream_id: id }, stranger: true })).status, 404);
  }
  assert.deepEqual((await ask('GET', at(id))).body, less.body, 'a change that is refused changes nothing');
  await ask('DELETE', at(id));
});

test('the status of a stream (§8.1.2)', async () => {
  const { stream_id: id } = await stream();
  const status = (body: object) => ask('POST', '/v1/signals/status', { body });
  const read = () => ask('GET', `/v1/signals/status?stream_id=${String(id)}`);
  assert.deepEqual((await read()).body, { stream_id: id, status: 'enabled' });
  for (const said of [
    { stream_id: id, status: 'paused', reason: 'maintenance' },
    { stream_id: id, status: 'disabled' },
    { stream_id: id, status: 'enabled' },
  ] as { stream_id: string; status: 'paused' | 'disabled' | 'enabled' }[]) {
    const answer = await status(said);
    assert.deepEqual([answer.status, answer.body], [200, said]);
    assert.deepEqual((await read()).body, said);
    const verified = await ask('POST', '/v1/signals/verify', { body: { stream_id: id } });
    assert.equal(verified.status, { paused: 204, disabled: 400, enabled: 429 }[said.status], said.status);
  }
  assert.equal((await read()).headers['cache-control'], 'no-store');
  assert.equal((await status({ stream_id: id, status: 'asleep' })).status, 400);
  assert.equal((await status({ stream_id: NOBODY, status: 'paused' })).status, 404);
  assert.equal((await ask('GET', `/v1/signals/status?stream_id=${NOBODY}`)).status, 404);
  assert.equal((await ask('GET', '/v1/signals/status')).status, 400);
  await ask('DELETE', at(id));
});

test('a verification says back what it was asked with (§8.1.4), and polls end with what is acknowledged (RFC 8936 §2)', async () => {
  const { stream_id: id, aud } = await stream();
  const verify = (body: object) => ask('POST', '/v1/signals/verify', { body });
  const poll = (body: object) => ask('POST', `/v1/signals/poll/${String(id)}`, { body });
  assert.deepEqual((await poll({ returnImmediately: true })).body, { sets: {}, moreAvailable: false });
  const asked = await verify({ stream_id: id, state: 'VGhpcyBpcyBh' });
  assert.deepEqual([asked.status, asked.text], [204, '']);
  assert.equal((await verify({ stream_id: id })).status, 429);
  assert.equal((await verify({ stream_id: NOBODY })).status, 404);
  assert.equal((await verify({ state: 'x' })).status, 400);
  const polled = await poll({});
  assert.deepEqual([polled.status, polled.headers['content-type']], [200, 'application/json']);
  const sets = polled.body['sets'] as Record<string, string>;
  const [[jti, token]] = Object.entries(sets) as [[string, string]];
  const [header, claims] = token
    .split('.')
    .slice(0, 2)
    .map((part) => JSON.parse(Buffer.from(part, 'base64url').toString()) as Record<string, unknown>);
  assert.equal(header!['typ'], 'secevent+jwt');
  const { iat, ...said } = claims!;
  assert.ok(Math.abs(Number(iat) - Date.now() / 1000) < 60);
  assert.deepEqual(said, {
    ...{ iss: ISSUER, aud, jti },
    sub_id: { format: 'opaque', id },
    events: { [VERIFICATION]: { state: 'VGhpcyBpcyBh' } },
  });
  assert.deepEqual(
    Object.keys((await poll({ returnImmediately: true })).body['sets'] as object),
    [jti],
    'not yet acknowledged',
  );
  const done = await poll({ maxEvents: 0, ack: [jti, 'unknown'] });
  assert.deepEqual([done.status, done.body], [200, { sets: {}, moreAvailable: false }]);
  assert.deepEqual((await poll({ returnImmediately: true })).body, { sets: {}, moreAvailable: false });
  assert.equal((await poll({ maxEvents: -1 })).status, 400);
  assert.equal((await ask('POST', `/v1/signals/poll/${NOBODY}`, { body: {} })).status, 404);
  await ask('DELETE', at(id));
});

test('a push is one token, with the header that its receiver wants (RFC 8935 §2.1)', async () => {
  await using there = await receiver();
  const delivery = { method: PUSH, endpoint_url: there.url, authorization_header: 'Bearer theirs' };
  const { stream_id: id } = await stream({ delivery, aud: 'urn:them' });
  assert.equal((await ask('POST', '/v1/signals/verify', { body: { stream_id: id } })).status, 204);
  for (let tries = 0; there.tokens.length === 0 && tries < 500; tries++) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const [headers] = there.headers;
  assert.deepEqual(
    [headers!['content-type'], headers!.accept, headers!.authorization],
    ['application/secevent+jwt', 'application/json', 'Bearer theirs'],
  );
  assert.match(there.tokens[0]!, /^[\w-]+\.[\w-]+\.[\w-]+$/);
  await ask('DELETE', at(id));
});

test('what we do not take of somebody’s tokens is said as RFC 8935 §2.3 wants', async () => {
  const push = (body: string, more: Sent = {}) =>
    ask('POST', '/v1/signals', {
      ...{ body, type: 'application/secevent+jwt', authorization: `Bearer ${BEARER}`, stranger: true },
      ...more,
    });
  const header = (members: object): string => Buffer.from(JSON.stringify(members)).toString('base64url');
  const typ = 'secevent+jwt';
  for (const [name, answer, err] of [
    ['no token', await push('none'), 'invalid_request'],
    ['another type', await push(`${header({ alg: 'EdDSA', typ: 'JWT', kid: 'k' })}.e30.AA`), 'invalid_request'],
    ['no signature', await push(`${header({ alg: 'none', typ })}.e30.`), 'invalid_key'],
    ['a key of nobody', await push(`${header({ alg: 'EdDSA', typ, kid: 'x' })}.e30.AA`), 'invalid_key'],
    ['not signed by it', await push(`${header({ alg: 'EdDSA', typ, kid: 'k' })}.e30.AA`), 'invalid_key'],
    [
      'nobody’s bearer',
      await push('none', { authorization: 'Bearer of-somebody-else-entirely' }),
      'authentication_failed',
    ],
  ] as const) {
    assert.deepEqual([answer.status, answer.body['err']], [400, err], name);
    assert.deepEqual(
      [answer.headers['content-type'], answer.headers['content-language']],
      ['application/json', 'en'],
      name,
    );
    assert.ok(String(answer.body['description']).length > 10, name);
    assert.deepEqual(Object.keys(answer.body).sort(), ['description', 'err'], name);
  }
  assert.equal((await push('none', { type: 'application/json' })).status, 415);
});

test('nobody is served who is not known', async () => {
  for (const [method, path] of [
    ['GET', STREAMS],
    ['POST', STREAMS],
    ['POST', '/v1/signals/verify'],
    ['POST', `/v1/signals/poll/${NOBODY}`],
  ] as const) {
    const { status } = await ask(method, path, { ...(method === 'POST' ? { body: {} } : {}), nameless: true });
    assert.equal(status, 401, `${method} ${path}`);
  }
});

test('a hold of an authority is about that one, and names its certificate (RFC 9493 §3.2.4, CAEP §2 and §3.1)', async () => {
  const { stream_id: id, aud } = await stream();
  // Our own certificate is of the one before, so that we go on.
  const one = await server.json<{ id: string }>('ca', 'rotate');
  const der = await (await fetch(`${server.plain}/ca/${one.id}.cer`)).arrayBuffer();
  const { serialNumber } = new X509Certificate(new Uint8Array(der));
  await server.json('stop', 'authority', one.id, '--quarantine', '--cause', 'policy_change');
  const told = async (wanted: number): Promise<Record<string, unknown>[]> => {
    for (let tries = 0; ; tries++) {
      const { body } = await ask('POST', `/v1/signals/poll/${String(id)}`, { body: { returnImmediately: tries < 50 } });
      const sets = Object.values(body['sets'] as Record<string, string>);
      if (sets.length >= wanted || tries === 50) {
        return sets.map((token) => JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString()));
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  };
  const [held, ...more] = await told(1);
  assert.deepEqual(more, []);
  assert.deepEqual(held!['sub_id'], { format: 'opaque', id: `authority:${one.id}` });
  assert.deepEqual([held!['iss'], held!['aud']], [ISSUER, aud]);
  const session = (held!['events'] as Record<string, Record<string, unknown>>)[`${CAEP}/session-revoked`]!;
  assert.deepEqual(Object.keys(session).sort(), ['event_timestamp', 'reason_admin']);
  assert.ok(Number.isInteger(session['event_timestamp']));
  const { en } = session['reason_admin'] as { en: string };
  assert.match(en, new RegExp(`: certificate ${serialNumber.toLowerCase()} of CN=[^,]+,O=`));
  await ask('DELETE', at(id));
});
