import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isWritError } from '../base/error.ts';
import { registerAgent } from './agent.ts';
import { atQuery, enrol } from './certificate.ts';
import { ledgerQuery, traceQuery } from './ledger.ts';
import { pageQuery } from './page.ts';
import { jsonMembers, jsonSchemas, parse, type Schema, type Source } from './schema.ts';
import { createToken } from './token.ts';

const AGENT = { name: 'planner', owner: { team: 'payments', sponsor: 'ada@example.com' }, purpose: 'plans' };
const CANARY = 'canary-5f1b';

const refused: [string, Schema<unknown>, unknown, Source, string, RegExp, RegExp][] = [
  ['missing', registerAgent, { ...AGENT, owner: { team: 'a' } }, 'body', '/owner/sponsor', /missing/, /a string/],
  ['null', registerAgent, { ...AGENT, purpose: null }, 'body', '/purpose', /another type/, /a string/],
  ['another type', registerAgent, { ...AGENT, name: 7 }, 'body', '/name', /another type/, /a string/],
  ['unknown', registerAgent, { ...AGENT, nmae: CANARY }, 'body', '/nmae', /no such field/, /correct its name/],
  [
    'unknown within',
    registerAgent,
    { ...AGENT, owner: { ...AGENT.owner, x: 1 } },
    'body',
    '/owner/x',
    /no such field/,
    /./,
  ],
  ['unknown, not a name', registerAgent, { ...AGENT, [`${CANARY}\n`]: 1 }, 'body', '/…', /no such field/, /./],
  ['__proto__', registerAgent, JSON.parse(`{"__proto__":{"name":"a"}}`), 'body', '/name', /missing/, /./],
  [
    'too long',
    registerAgent,
    { ...AGENT, purpose: CANARY.repeat(99) },
    'body',
    '/purpose',
    /too long/,
    /at most 512 characters/,
  ],
  ['empty', registerAgent, { ...AGENT, purpose: '' }, 'body', '/purpose', /too short/, /at least 1 character\./],
  [
    'wrong form',
    registerAgent,
    { ...AGENT, name: `Canary ${CANARY}` },
    'body',
    '/name',
    /right form/,
    /lower-case letters/,
  ],
  ['wrong label name', registerAgent, { ...AGENT, labels: { '': 'x' } }, 'body', '/labels/…', /./, /Name labels/],
  ['too many labels', registerAgent, { ...AGENT, labels: many(33) }, 'body', '/labels', /does not fit/, /at most 32/],
  ['an array', registerAgent, [], 'body', '', /another type/, /an object/],
  ['number out of range', createToken, { agent: 'a', uses: 10_001 }, 'body', '/uses', /too large/, /at most 10000/],
  ['fraction', createToken, { agent: 'a', uses: 1.5 }, 'body', '/uses', /another type/, /whole number/],
  ['neither of two', createToken, {}, 'body', '/agent', /does not fit/, /exactly one of/],
  ['both of two', createToken, { agent: 'a', service: 'b' }, 'body', '/agent', /does not fit/, /exactly one of/],
  [
    'too many names',
    enrol,
    { token: 't', csr: 'c', dns_names: Array(101).fill('a') },
    'body',
    '/dns_names',
    /too long/,
    /100 items/,
  ],
  ['one of many', enrol, { token: 't', csr: 'c', dns_names: ['a', ''] }, 'body', '/dns_names/1', /too short/, /./],
  ['query limit', pageQuery, { limit: '0' }, 'query', '?limit', /too small/, /at least 1/],
  ['query limit above', pageQuery, { limit: '201' }, 'query', '?limit', /too large/, /at most 200/],
  ['query limit, odd spelling', pageQuery, { limit: '1e2' }, 'query', '?limit', /right form/, /whole number/],
  ['query unknown', pageQuery, { offset: '1' }, 'query', '?offset', /no such field/, /./],
  ['query flag', traceQuery, { receipts: 'yes' }, 'query', '?receipts', /not one of/, /true, false/],
  ['query time', atQuery, { time: 'yesterday' }, 'query', '?time', /right form/, /RFC 3339/],
  ['query day that is not', atQuery, { time: '2026-02-30T00:00:00Z' }, 'query', '?time', /right form/, /./],
  ['query subject', ledgerQuery, { subject: 'planner' }, 'query', '?subject', /right form/, /kind:id/],
];

function many(count: number): Record<string, string> {
  return Object.fromEntries(Array.from({ length: count }, (_, index) => [`l${index}`, 'x']));
}

for (const [name, schema, value, source, field, fault, remedy] of refused) {
  test(`refuses ${name}, saying where and what would be right`, () => {
    assert.throws(
      () => parse(schema, value, source),
      (error) => {
        assert.ok(isWritError(error, 'bad_request'));
        assert.equal(error.field, field);
        assert.match(error.message, fault);
        assert.match(error.remedy ?? '', remedy);
        assert.ok(!JSON.stringify([error.message, error.remedy, error.field]).includes(CANARY));
        return true;
      },
    );
  });
}

test('gives back what fits, numbers and flags of a query as such', () => {
  assert.deepEqual(parse(registerAgent, AGENT, 'body'), AGENT);
  assert.deepEqual(parse(pageQuery, { limit: '200', cursor: 'c' }, 'query'), { limit: 200, cursor: 'c' });
  assert.deepEqual(parse(traceQuery, { receipts: 'true' }, 'query'), { receipts: true });
  assert.equal(
    parse(atQuery, { time: '2026-11-22T15:03:22.123+01:00' }, 'query').time,
    '2026-11-22T15:03:22.123+01:00',
  );
});

test('JSON Schema names every member, forbids others, and refers to named schemas', () => {
  const schemas = jsonSchemas({ RegisterAgent: registerAgent, Page: pageQuery });
  const agent = schemas['RegisterAgent'] as Record<string, unknown>;
  assert.equal(agent['additionalProperties'], false);
  assert.deepEqual(agent['required'], ['name', 'owner', 'purpose']);
  assert.equal(JSON.stringify(schemas).includes('$schema'), false);
  assert.deepEqual(jsonMembers(pageQuery), [
    { name: 'limit', schema: { type: 'integer', minimum: 1, maximum: 200 }, required: false },
    { name: 'cursor', schema: { type: 'string', minLength: 1, maxLength: 512 }, required: false },
  ]);
});
