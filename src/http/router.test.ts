import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Method, Route } from './route.ts';
import { createRouter } from './router.ts';

function route(method: Method, path: string): Route {
  return { method, path, access: 'public', handle: () => ({ status: 200, body: '' }) };
}

const router = createRouter([
  route('GET', '/healthz'),
  route('GET', '/v1/agents'),
  route('POST', '/v1/agents'),
  route('GET', '/v1/agents/{name}'),
  route('PATCH', '/v1/agents/{name}'),
  route('GET', '/v1/agents/{name}/instances'),
  route('GET', '/v1/certificates/at'),
  route('GET', '/v1/certificates/{serial}'),
  route('GET', '/ca/{id}.cer'),
  route('GET', '/ledger/tile/entries/{path...}'),
  route('GET', '/ledger/tile/{path...}'),
]);

const found: [string, string, string, readonly string[]][] = [
  ['static', '/healthz', 'GET, HEAD', []],
  ['two methods', '/v1/agents', 'GET, HEAD, POST', []],
  ['parameter', '/v1/agents/planner', 'GET, HEAD, PATCH', ['planner']],
  ['escaped parameter', '/v1/agents/a%20b', 'GET, HEAD, PATCH', ['a b']],
  ['parameter in the middle', '/v1/agents/planner/instances', 'GET, HEAD', ['planner']],
  ['literal before parameter', '/v1/certificates/at', 'GET, HEAD', []],
  ['parameter beside literal', '/v1/certificates/00ff', 'GET, HEAD', ['00ff']],
  ['ending', '/ca/01k.cer', 'GET, HEAD', ['01k']],
  ['rest', '/ledger/tile/0/x001/067', 'GET, HEAD', ['0/x001/067']],
  ['rest below literal', '/ledger/tile/entries/x001/067.p/3', 'GET, HEAD', ['x001/067.p/3']],
];

for (const [name, path, allow, params] of found) {
  test(`finds ${name}`, () => {
    const match = router(path);
    assert.equal(match?.resource.allow, allow);
    assert.deepEqual(match?.params, params);
  });
}

const absent = [
  '',
  '/',
  '//',
  '*',
  '/healthz/',
  '/v1',
  '/v1/',
  '/v1//planner',
  '/v1/agents/',
  '/v1/agents/planner/',
  '/v1/agents/planner/other',
  '/v1/agents/%ff',
  '/v1/agents/%',
  '/ca/.cer',
  '/ca/01k.crt',
  '/ledger/tile',
  '/__proto__',
  'https://localhost/healthz',
];

for (const path of absent)
  test(`finds nothing at ${JSON.stringify(path)}`, () => assert.equal(router(path), undefined));

test('a table with two routes for one method and path is a defect', () => {
  assert.throws(() => createRouter([route('GET', '/a'), route('GET', '/a')]), TypeError);
});
