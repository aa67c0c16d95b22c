import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type AskOptions, type Door, openDoor } from './testdata/door.ts';

const CANARY = 'canary-2b9d8f';
const ID = '01kaj8x5y7zq4m2n6p8r0t2v4w';

/** Name, path, request, and what of the problem is expected. All carry the canary where input can hold it. */
const cases: [string, string, AskOptions, { status: number; code: string; field?: string }][] = [
  ['no JSON', '/v1/agents', { method: 'POST', body: `{"${CANARY}` }, { status: 400, code: 'bad_request' }],
  ['a list', '/v1/agents', { method: 'POST', body: `["${CANARY}"]` }, { status: 400, code: 'bad_request' }],
  ['nothing', '/v1/agents', { method: 'POST', body: '' }, { status: 400, code: 'bad_request' }],
  [
    'a field twice',
    '/v1/agents',
    { method: 'POST', body: `{"name":"a","name":"${CANARY}"}` },
    { status: 400, code: 'bad_request' },
  ],
  [
    'a field missing',
    '/v1/agents',
    { method: 'POST', body: { name: 'a', purpose: CANARY } },
    { status: 400, code: 'bad_request', field: '/owner' },
  ],
  [
    'a field too many',
    '/v1/enrol',
    { method: 'POST', body: { token: CANARY, csr: 'x', secret: CANARY } },
    { status: 400, code: 'bad_request', field: '/secret' },
  ],
  [
    'a token that is none',
    '/v1/enrol',
    { method: 'POST', body: { token: CANARY, csr: 'AAAA' } },
    { status: 400, code: 'bad_token', field: 'token' },
  ],
  [
    'a CSR that is none',
    '/v1/certificates',
    { method: 'POST', body: { instance: ID, csr: CANARY } },
    { status: 400, code: 'bad_csr', field: '/csr' },
  ],
  [
    'a CSR of other DER',
    '/v1/certificates',
    { method: 'POST', body: { instance: ID, csr: 'MAMCAQE=' } },
    { status: 400, code: 'bad_csr', field: '/csr' },
  ],
  [
    'no media type',
    '/v1/agents',
    { method: 'POST', body: '{}', headers: { 'Content-Type': '' } },
    { status: 415, code: 'unsupported_media_type', field: 'Content-Type' },
  ],
  [
    'another media type',
    '/v1/agents',
    { method: 'POST', body: '{}', headers: { 'Content-Type': 'text/plain' } },
    { status: 415, code: 'unsupported_media_type' },
  ],
  [
    'another charset',
    '/v1/agents',
    { method: 'POST', body: '{}', headers: { 'Content-Type': 'application/json; charset=latin1' } },
    { status: 415, code: 'unsupported_media_type' },
  ],
  [
    'a body too large',
    '/v1/agents',
    { method: 'POST', body: `"${CANARY.repeat(8000)}"` },
    { status: 413, code: 'too_large' },
  ],
  [
    'a body for nothing',
    `/v1/tokens/${ID}/revoke`,
    { method: 'POST', body: { why: CANARY } },
    { status: 400, code: 'bad_request' },
  ],
  ['an unknown query', `/v1/agents?${CANARY}=1`, {}, { status: 400, code: 'bad_request' }],
  ['a query twice', '/v1/agents?limit=1&limit=2', {}, { status: 400, code: 'bad_request', field: '?limit' }],
  ['a query that is no UTF-8', '/v1/agents?limit=%ff', {}, { status: 400, code: 'bad_request' }],
  ['__proto__ in the query', '/v1/agents?__proto__=1', {}, { status: 400, code: 'bad_request' }],
  ['a query for nothing', `/v1/policy?x=${CANARY}`, {}, { status: 400, code: 'bad_request' }],
  ['a limit out of range', '/v1/agents?limit=1000', {}, { status: 400, code: 'bad_request', field: '?limit' }],
  ['a cursor made up', `/v1/agents?cursor=${CANARY}`, {}, { status: 400, code: 'bad_cursor', field: '?cursor' }],
  [
    'a name that is none',
    `/v1/agents/${CANARY.toUpperCase()}`,
    {},
    { status: 400, code: 'bad_request', field: '{name}' },
  ],
  ['an id that is none', `/v1/instances/${CANARY}`, {}, { status: 400, code: 'bad_request', field: '{id}' }],
  [
    'a serial number that is none',
    '/v1/certificates/00ff',
    {},
    { status: 400, code: 'bad_request', field: '{serial}' },
  ],
  ['an index that is none', '/v1/ledger/entries/-1', {}, { status: 400, code: 'bad_request', field: '{index}' }],
  [
    'a cause that is none',
    `/v1/instances/${ID}/stop`,
    { method: 'POST', body: { cause: CANARY } },
    { status: 400, code: 'bad_request', field: '/cause' },
  ],
  [
    'an idempotency key too short',
    '/v1/agents',
    { method: 'POST', body: '{}', key: 'short' },
    { status: 400, code: 'bad_request' },
  ],
  ['a path that is none', `/v1/${CANARY}`, {}, { status: 404, code: 'not_found' }],
  ['another method', '/v1/agents/planner', { method: 'DELETE' }, { status: 405, code: 'method_not_allowed' }],
];

describe('bad input', () => {
  let door: Door;
  before(async () => {
    door = await openDoor();
  });
  after(() => door[Symbol.asyncDispose]());

  for (const [name, path, options, want] of cases) {
    test(`${name}: a problem that says where and what would be right`, async () => {
      const { status, body, headers } = await door.json(path, { ...options, client: door.operator });
      assert.deepEqual([status, body.code], [want.status, want.code]);
      if (want.field !== undefined) assert.equal(body.field, want.field);
      assert.ok(body.detail.length > 10 && body.remedy?.length > 5, JSON.stringify(body));
      assert.equal(headers['content-type'], 'application/problem+json');
      assert.equal(headers['x-request-id'], body.request_id);
      assert.ok(!JSON.stringify([body.detail, body.remedy]).toLowerCase().includes(CANARY));
    });
  }

  test('none of it was a defect, and nothing of it is in the log', () => {
    assert.ok(!door.logged().includes('"level":"error"'), door.logged());
    assert.ok(!door.logged().toLowerCase().includes(CANARY));
  });
});
