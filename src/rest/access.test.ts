import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { newKey } from '../../test/installation.ts';
import type { Operation } from './operation.ts';
import { type Client, type Door, openDoor } from './testdata/door.ts';

/** What strangers reach; a route that is added to it by accident fails here. */
const PUBLIC = [
  'GET /.well-known/openid-configuration',
  'GET /healthz',
  'GET /keys',
  'GET /ledger/checkpoint',
  'GET /ledger/keys',
  'GET /ledger/tile/{path...}',
  'GET /readyz',
  'GET /v1/openapi.json',
  'GET /v1/trust',
  'GET /v1/trust/bundle.json',
  'GET /v1/trust/bundle.pem',
  'GET /v1/trust/root.pem',
  'POST /v1/attestation/challenges',
  'POST /v1/enrol',
  'POST /v1/svid',
];

/** What the default policy set lets an instance do; about others than itself it is refused nevertheless. */
const FOR_INSTANCES = [
  'GET /v1/authorities',
  'GET /v1/authorities/{id}',
  'GET /v1/profiles',
  'GET /v1/profiles/{name}',
  // Those that it made: none.
  'GET /v1/tokens',
  'GET /v1/version',
  'GET /v1/whoami',
  'POST /v1/certificates/renew',
  // For itself.
  'POST /v1/jwt-svids',
  // Says so of each token by itself (jwt-svids.test.ts).
  'POST /v1/workloads/jwt-svids',
];

function nameOf({ method, path }: Operation): string {
  return `${method} ${path}`;
}

describe('who reaches what', async () => {
  let door: Door;
  let instance: Client & { instance: string; serial: string };
  let other: Client & { instance: string; serial: string };
  let csr: string;
  before(async () => {
    door = await openDoor();
    for (const name of ['planner', 'other']) {
      const owner = { team: 'research', sponsor: 'alice@example.com' };
      const body = { name, owner, purpose: 'tests' };
      assert.equal((await door.json('/v1/agents', { method: 'POST', body, client: door.operator })).status, 201);
    }
    instance = await door.letIn('planner');
    other = await door.letIn('other');
    csr = Buffer.from(await newKey().csr()).toString('base64');
  });
  after(() => door[Symbol.asyncDispose]());

  /** The operation aimed at an agent, instance and certificate that are not the caller's. */
  const aimed = ({ path, method, example, body }: Operation) => ({
    path: (path.endsWith('/at') ? `${path}?time=2026-11-22T14:03:22Z` : path)
      .replace('{name}', 'other')
      .replace('{team}', 'research')
      .replace('{serial}', other.serial)
      .replace('{instance}', other.instance)
      .replace('{id}', path.includes('instances') ? other.instance : '01kaj8wzzzzzzzzzzzzzzzzzzz')
      .replace('{index}', '0')
      .replace('{path...}', '000'),
    options: {
      method,
      ...(method === 'GET' || method === 'DELETE' ? {} : { body: body === undefined ? {} : atOther(example?.body) }),
    },
  });
  const atOther = (body: unknown) => {
    const given = (body ?? {}) as Record<string, unknown>;
    return {
      ...given,
      ...('agent' in given ? { agent: 'other' } : {}),
      ...('csr' in given ? { csr } : {}),
      ...('instance' in given ? { instance: other.instance } : {}),
      ...('serial' in given ? { serial: other.serial } : {}),
    };
  };

  test('the public routes are these and no others', () => {
    const found = door.operations.filter(({ access }) => access === 'public').map(nameOf);
    assert.deepEqual(found.sort(), PUBLIC);
  });

  test('every private route refuses a caller without a certificate', async () => {
    const all = door.operations.filter(({ access }) => access === 'caller');
    assert.ok(all.length > 35);
    for (const one of all) {
      const { path, options } = aimed(one);
      const { status, body } = await door.json(path, options);
      assert.deepEqual([nameOf(one), status, body.code], [nameOf(one), 401, 'not_authenticated']);
    }
  });

  test('the listener without client certificates has the public routes alone', async () => {
    for (const one of door.operations) {
      const { path, options } = aimed(one);
      const { status } = await door.ask(path, { ...options, open: true, client: door.operator });
      if (PUBLIC.includes(nameOf(one))) assert.notEqual(status, 401, nameOf(one));
      else assert.ok(status === 404 || status === 405, `${nameOf(one)} ${status}`);
    }
  });

  test('every private route refuses an instance that asks about others', async () => {
    const answered: string[] = [];
    for (const one of door.operations) {
      if (one.access === 'public' || FOR_INSTANCES.includes(nameOf(one))) continue;
      const { path, options } = aimed(one);
      const { status, text } = await door.ask(path, { ...options, client: instance });
      if (status !== 403 || JSON.parse(text).code !== 'denied') answered.push(`${nameOf(one)} ${status}`);
    }
    assert.deepEqual(answered, []);
  });

  test('a stopped agent is nobody any more, on any private route', async () => {
    const gone = await door.letIn('other');
    const retired = await door.json('/v1/agents/other/retire', {
      method: 'POST',
      body: { cause: 'decommissioned' },
      client: door.operator,
    });
    assert.equal(retired.status, 200);
    for (const one of door.operations.filter(({ access }) => access === 'caller')) {
      const { path, options } = aimed(one);
      const { status, body } = await door.json(path, { ...options, client: gone });
      assert.deepEqual([nameOf(one), status, body.code], [nameOf(one), 403, 'revoked']);
    }
  });
});
