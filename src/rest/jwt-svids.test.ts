/** JWT-SVIDs over TLS, and validated by a library that follows OpenID Connect alone. */
import assert from 'node:assert/strict';
import { createPublicKey, verify } from 'node:crypto';
import { after, before, test } from 'node:test';
import { validateJwtSvid } from '../jwt/jwt-svid.ts';
import { parseSpiffeBundle } from '../jwt/spiffe-bundle.ts';
import { type Door, JWT_ISSUER, openDoor } from './testdata/door.ts';

const AUDIENCE = 'https://reports.example.com';
let door: Door;
before(async () => {
  door = await openDoor();
  const owner = { team: 'research', sponsor: 'alice@example.com' };
  const body = { name: 'planner', owner, purpose: 'plans' };
  await door.json('/v1/agents', { method: 'POST', body, client: door.operator });
});
after(() => door[Symbol.asyncDispose]());

const ask = (body: unknown, client: Parameters<Door['json']>[1]) =>
  door.json('/v1/jwt-svids', { method: 'POST', body, ...client });

test('an instance gets a token that the published bundle validates', async () => {
  const client = await door.letIn('planner');
  const { status, body } = await ask({ audience: [AUDIENCE] }, { client });
  assert.equal(status, 200);
  const { text, headers } = await door.ask('/v1/trust/bundle.json', { open: true });
  // SPIFFE Federation §5.2.2.3.
  assert.equal(headers['content-type'], 'application/json');
  const bundle = parseSpiffeBundle(Buffer.from(text), 'bundle');
  assert.ok(bundle.sequence! > 0 && bundle.refreshHint! > 0);
  const options = { keys: () => bundle.jwtKeys, audience: AUDIENCE, now: Date.now() };
  const valid = validateJwtSvid(body.token, options);
  assert.ok(valid.ok, JSON.stringify(valid));
  assert.equal(valid.id.uri, body.spiffe_id);
  assert.equal(new Date(valid.expiresAt).toISOString(), body.expires_at);
});

test('whoever knows OpenID Connect alone finds the keys, on the listener that strangers reach', async () => {
  const client = await door.letIn('planner');
  const { body } = await ask({ audience: ['sts.amazonaws.com'] }, { client });
  const found = await door.json('/.well-known/openid-configuration', { open: true });
  assert.equal(found.body.issuer, JWT_ISSUER);
  assert.equal(found.body.jwks_uri, `${JWT_ISSUER}/keys`);
  assert.match(String(found.headers['cache-control']), /public, max-age=/);
  const set = await door.json('/keys', { open: true });
  const [header, claims, signature] = body.token.split('.') as [string, string, string];
  const { kid, alg } = JSON.parse(Buffer.from(header, 'base64url').toString());
  const key = set.body.keys.find((one: { kid: string }) => one.kid === kid);
  assert.equal(alg, 'ES256');
  const valid = verify(
    'sha256',
    Buffer.from(`${header}.${claims}`),
    { key: createPublicKey({ key, format: 'jwk' }), dsaEncoding: 'ieee-p1363' },
    Buffer.from(signature, 'base64url'),
  );
  assert.equal(valid, true);
  assert.equal(JSON.parse(Buffer.from(claims, 'base64url').toString()).iss, found.body.issuer);
  assert.deepEqual(
    set.body.keys.flatMap((one: object) => Object.keys(one).filter((name) => name === 'd')),
    [],
  );
});

test('without certificate there is none, and an operator has none', async () => {
  assert.equal((await ask({ audience: ['a'] }, {})).status, 401);
  assert.equal((await ask({ audience: ['a'] }, { client: door.operator })).status, 403);
  assert.equal((await ask({ audience: ['a'] }, { open: true })).status, 404);
});

test('an idempotency key says nothing here: each request makes another token', async () => {
  const client = await door.letIn('planner');
  const tokens = [];
  for (const audience of ['a', 'a', 'b']) {
    const { status, body } = await ask({ audience: [audience] }, { client, key: 'the same key each time' });
    assert.equal(status, 200);
    tokens.push(body.token);
  }
  assert.equal(new Set(tokens).size, 3);
});

test('a node gets tokens for many at once, and of each hears why not by itself', async () => {
  const [client, other] = [await door.letIn('planner'), await door.letIn('planner')];
  const path = '/v1/workloads/jwt-svids';
  const tokens = [
    { instance: client.instance, audience: ['a'] },
    { instance: other.instance, audience: ['a'] },
    { instance: client.instance, audience: ['b'] },
    { instance: client.instance, audience: ['c'], lifetime_seconds: 3600 },
  ];
  const { status, body } = await door.json(path, { method: 'POST', body: { tokens }, client });
  assert.equal(status, 200);
  const [first, denied, third, long] = body.tokens;
  const claims = ({ svid }: { svid: { token: string } }) =>
    JSON.parse(Buffer.from(svid.token.split('.')[1]!, 'base64url').toString());
  assert.deepEqual([claims(first).aud, claims(third).aud], [['a'], ['b']]);
  assert.notEqual(claims(first).jti, claims(third).jti);
  assert.deepEqual([denied.svid, denied.fault.code, long.fault.code], [undefined, 'denied', 'denied']);
  const issued = (await door.installation.events()).filter(({ type }) => type === 'jwt.issued');
  for (const one of [first, third]) assert.ok(issued.some(({ body: said }) => said['jti'] === claims(one).jti));
  for (const wrong of [[], Array(65).fill(tokens[0]), [{ audience: ['a'] }], [{ ...tokens[0], audience: [] }]]) {
    assert.equal((await door.json(path, { method: 'POST', body: { tokens: wrong }, client })).status, 400);
  }
});

test('what cannot be a token’s audience is refused with the field', async () => {
  const client = await door.letIn('planner');
  for (const audience of [[], [''], ['a\nb'], ['a'.repeat(513)], 'a', Array(9).fill('a')]) {
    const { status, body } = await ask({ audience }, { client });
    assert.deepEqual([status, String(body.field).split('/')[1]], [400, 'audience'], JSON.stringify(audience));
  }
  assert.equal((await ask({ audience: ['a'], lifetime_seconds: 3601 }, { client })).status, 400);
  assert.equal((await ask({ audience: ['a'], lifetime_seconds: 600 }, { client })).status, 403);
});

test('it takes two officers to have another key follow, and no instance', async () => {
  const client = await door.letIn('planner');
  const path = '/v1/trust/jwt-keys/rotate';
  assert.equal((await door.json(path, { method: 'POST', body: {}, client })).body.code, 'denied');
  const asked = await door.json(path, { method: 'POST', body: { at_once: true }, client: door.operator });
  assert.equal(asked.body.code, 'needs_approval');
});
