import assert from 'node:assert/strict';
import { randomUUID, X509Certificate } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { newKey } from '../../test/installation.ts';
import { parseTlogProof } from '../merkle/tlog-proof.ts';
import { type Client, type Door, openDoor } from './testdata/door.ts';

const PLANNER = { name: 'planner', owner: { team: 'research', sponsor: 'alice@example.com' }, purpose: 'plans trips' };

async function csr(): Promise<string> {
  return Buffer.from(await newKey().csr()).toString('base64');
}

describe('the interface, with the flows behind it', () => {
  let door: Door;
  let client: Client;
  before(async () => {
    door = await openDoor();
    client = door.operator;
  });
  after(() => door[Symbol.asyncDispose]());

  const post = (path: string, body: unknown, key?: string, who: Client = client) =>
    door.json(path, { method: 'POST', body, client: who, ...(key === undefined ? {} : { key }) });
  const get = (path: string, who: Client = client) => door.json(path, { client: who });

  test('an agent is registered, changed, listed', async () => {
    const made = await post('/v1/agents', PLANNER);
    assert.deepEqual([made.status, made.body.owner, made.body.profile], [201, PLANNER.owner, 'agent']);
    const changed = await door.json('/v1/agents/planner', {
      method: 'PATCH',
      body: { labels: { tier: 'gold' } },
      client,
    });
    assert.deepEqual([changed.status, changed.body.labels, changed.body.version], [200, { tier: 'gold' }, 2]);
    await post('/v1/services', { ...PLANNER, name: 'ledger-db' });
    assert.deepEqual(
      (await get('/v1/agents')).body.items.map((one: { name: string }) => one.name),
      ['planner'],
    );
    assert.deepEqual(
      (await get('/v1/services')).body.items.map((one: { name: string }) => one.name),
      ['ledger-db'],
    );
    assert.equal((await get('/v1/services/planner')).body.code, 'not_found');
    assert.equal((await get('/v1/owners')).body.items[0].team, 'research');
  });

  test('pages go on where they stopped, for the same filters alone', async () => {
    for (const name of ['a1', 'a2', 'a3']) await post('/v1/agents', { ...PLANNER, name });
    const first = await get('/v1/agents?limit=2');
    assert.deepEqual(
      first.body.items.map((one: { name: string }) => one.name),
      ['a1', 'a2'],
    );
    const cursor = encodeURIComponent(first.body.next_cursor);
    const second = await get(`/v1/agents?limit=2&cursor=${cursor}`);
    assert.deepEqual(
      second.body.items.map((one: { name: string }) => one.name),
      ['a3', 'planner'],
    );
    assert.equal((await get(`/v1/agents?status=retired&cursor=${cursor}`)).body.code, 'bad_cursor');
  });

  test('an instance is let in, renews, replaces, and is stopped', async () => {
    const one = await door.letIn('planner');
    assert.deepEqual((await get('/v1/whoami', one)).body.instance, one.instance);
    const renewed = await post('/v1/certificates/renew', { csr: await csr() }, undefined, one);
    assert.equal(renewed.status, 201);
    const seen = new X509Certificate(renewed.body.certificate);
    assert.equal(renewed.body.not_before, seen.validFromDate.toISOString());
    assert.equal(renewed.body.not_after, seen.validToDate.toISOString());
    assert.equal(`0${seen.serialNumber.toLowerCase()}`.slice(-40), renewed.body.serial);
    const replaced = await post('/v1/certificates/replace', { csr: await csr() }, undefined, one);
    assert.equal(replaced.status, 201);
    assert.equal((await get('/v1/whoami', one)).body.code, 'revoked');
    const stopped = await post(`/v1/instances/${one.instance}/stop`, { cause: 'decommissioned' });
    assert.equal(stopped.body.status, 'stopped');
    const issue = await post('/v1/certificates', { instance: one.instance, csr: await csr() });
    assert.deepEqual([issue.status, issue.body.code], [403, 'revoked']);
  });

  test('who was valid when, and everything about one identity', async () => {
    const one = await door.letIn('planner');
    const before = new Date(door.installation.clock.now()).toISOString();
    door.installation.advance(20);
    const revoked = await post(`/v1/certificates/${one.serial}/revoke`, { cause: 'key_theft' });
    assert.deepEqual([revoked.status, revoked.body.status, revoked.body.reason], [200, 'revoked', 'keyCompromise']);
    const again = await post(`/v1/certificates/${one.serial}/revoke`, { cause: 'decommissioned' });
    assert.deepEqual(again.body, revoked.body);
    const serials = (items: { serial: string }[]): string[] => items.map(({ serial }) => serial);
    const then = await get(`/v1/certificates/at?time=${before}&agent=planner&instance=${one.instance}`);
    const now = await get(`/v1/certificates/at?time=${revoked.body.revoked_at}&instance=${one.instance}`);
    assert.deepEqual([serials(then.body.items), serials(now.body.items)], [[one.serial], []]);
    const list = await get(`/v1/certificates?instance=${one.instance}&status=revoked`);
    assert.deepEqual(serials(list.body.items), [one.serial]);
    const colons = one.serial.toUpperCase().match(/../g)!.join(':');
    const shown = await get(`/v1/certificates/${colons}`);
    assert.equal(`0${new X509Certificate(shown.body.certificate).serialNumber}`.slice(-40).toLowerCase(), one.serial);
    const trace = await get(`/v1/certificates/${one.serial}/trace?receipts=true&limit=200`);
    assert.equal(trace.status, 200, JSON.stringify(trace.body));
    const types = trace.body.items.map(({ type }: { type: string }) => type);
    for (const type of ['instance.enrolled', 'certificate.issued', 'certificate.revoked'])
      assert.ok(types.includes(type), type);
    for (const { index, receipt } of trace.body.items) assert.equal(parseTlogProof(receipt).index, index);
    assert.equal((await get('/v1/certificates', one)).body.code, 'revoked');
  });

  test('a repeat under one key gets the first answer, and the act happens once', async () => {
    const key = randomUUID();
    const body = { ...PLANNER, name: 'once' };
    const answers = [await post('/v1/agents', body, key), await post('/v1/agents', body, key)];
    assert.deepEqual(
      answers.map(({ status }) => status),
      [201, 201],
    );
    assert.deepEqual(answers[0]!.body, answers[1]!.body);
    assert.equal((await post('/v1/agents', body)).body.code, 'conflict');
    assert.equal((await post('/v1/agents', { ...body, name: 'other' }, key)).body.code, 'idempotency_mismatch');
    assert.equal((await post('/v1/agents', body, 'short')).body.field, 'Idempotency-Key');
  });

  test('a repeat of an enrolment gets the same certificate, though the token is spent', async () => {
    const token = (await post('/v1/tokens', { agent: 'planner' })).body.token;
    const key = randomUUID();
    const body = { token, csr: await csr() };
    const ask = () => door.json('/v1/enrol', { method: 'POST', body, key });
    const answers = await Promise.all([ask(), ask(), ask()]);
    assert.deepEqual(
      answers.map(({ status }) => status),
      [201, 201, 201],
    );
    assert.equal(new Set(answers.map((answer) => answer.body.serial)).size, 1);
    assert.deepEqual((await ask()).body, answers[0]!.body);
    const again = await door.json('/v1/enrol', { method: 'POST', body: { token, csr: await csr() } });
    assert.deepEqual([again.status, again.body.code], [403, 'token_refused']);
  });

  test('a repeated creation of a token gives the same secret, which the database does not hold', async () => {
    const key = randomUUID();
    const ask = () => post('/v1/tokens', { agent: 'planner', uses: 3 }, key);
    const [first, second] = [await ask(), await ask()];
    assert.equal(first.body.token, second.body.token);
    const shown = await get(`/v1/tokens/${first.body.id}`);
    assert.deepEqual([shown.body.uses_left, shown.body.token], [3, undefined]);
    assert.equal((await post(`/v1/tokens/${first.body.id}/revoke`, {})).body.status, 'revoked');
  });

  test('many equal requests at once make one', async () => {
    const key = randomUUID();
    const body = { ...PLANNER, name: 'at-once' };
    const answers = await Promise.all(Array.from({ length: 8 }, () => post('/v1/agents', body, key)));
    assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([201]));
    const made = (await door.installation.events()).filter(
      (event) => event.type === 'agent.registered' && event.subjects.includes('agent:at-once'),
    );
    assert.equal(made.length, 1);
  });

  test('trust documents, health and the description are there for everybody', async () => {
    const root = await door.ask('/v1/trust/root.pem', { open: true });
    assert.equal(root.text, door.ca);
    const cached = await door.ask('/v1/trust/root.pem', { headers: { 'If-None-Match': root.headers.etag! } });
    assert.equal(cached.status, 304);
    const { body } = await door.json('/v1/trust/bundle.json', { open: true });
    assert.equal(body.keys[0].use, 'x509-svid');
    assert.equal((await door.json('/v1/trust')).body.trust_domain, 'agents.example.com');
    assert.equal((await door.json('/readyz')).status, 200);
    assert.equal((await door.json('/v1/openapi.json')).body.openapi, '3.1.0');
  });

  test('the ledger shows hashes to everybody and entries to operators', async () => {
    const checkpoint = await door.ask('/ledger/checkpoint');
    assert.match(checkpoint.text, /\n\n— /);
    const width = Number(checkpoint.text.split('\n')[1]);
    assert.ok(width > 0 && width < 256);
    const tile = await door.ask(`/ledger/tile/0/000.p/${width}`);
    assert.deepEqual([tile.status, tile.headers['cache-control']], [200, 'public, max-age=31536000, immutable']);
    assert.equal((await door.ask('/ledger/tile/0/001')).status, 404);
    for (const spelling of ['entries/000.p/1', 'entries%2f000.p/1', 'Entries/000.p/1']) {
      assert.notEqual((await door.ask(`/ledger/tile/${spelling}`)).status, 200, spelling);
    }
    assert.equal((await door.ask('/ledger/tile/entries/000.p/1', { client })).status, 200);
    const page = await get('/v1/ledger/entries?subject=agent:planner&limit=1');
    assert.equal(page.body.items[0].type, 'agent.registered');
    const next = await get(`/v1/ledger/entries?subject=agent:planner&limit=1&cursor=${page.body.next_cursor}`);
    assert.ok(next.body.items[0].index > page.body.items[0].index);
    const { index } = page.body.items[0];
    assert.deepEqual((await get(`/v1/ledger/entries/${index}`)).body, page.body.items[0]);
    const receipt = await door.ask(`/v1/ledger/entries/${index}/receipt`, { client });
    assert.equal(parseTlogProof(receipt.text).index, index);
    assert.equal((await get('/v1/ledger/entries/999999')).body.code, 'not_found');
  });

  test('policy sets are shown and checked; publishing waits for approvals', async () => {
    const policy = await get('/v1/policy');
    assert.match(policy.body.text, /permit/);
    const check = await post('/v1/policy/check', {
      text: 'permit (principal, action, resource) when { context.typo };',
    });
    assert.ok(check.body.errors.length + check.body.warnings.length > 0);
    const publish = await door.json('/v1/policy', { method: 'PUT', body: { text: policy.body.text }, client });
    assert.deepEqual([publish.status, publish.body.code], [403, 'needs_approval']);
    const rotate = await post('/v1/authorities/rotate', {});
    assert.deepEqual([rotate.status, rotate.body.code], [403, 'needs_approval']);
    assert.ok(rotate.body.reasons.length > 0);
    assert.equal((await get('/v1/authorities')).body.items.length, 3);
    assert.equal((await get('/v1/profiles/agent')).body.lifetime.most, 86_400);
    assert.equal((await get('/v1/operators')).body.items[0].name, 'ada');
    assert.equal(
      (await door.ask('/metrics', { client })).headers['content-type'],
      'application/openmetrics-text; version=1.0.0; charset=utf-8',
    );
  });
});
