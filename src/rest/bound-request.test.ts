import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AccessRequest, Caller } from '../base/access.ts';
import { isWritError, WritError } from '../base/error.ts';
import { bindingOf } from './bound-request.ts';

const ADA: Caller = { kind: 'operator', id: 'spiffe://example.com/operator/ada', operator: 'ada' };
const ID = '01kaj8x5y7zq4m2n6p8r0t2v4w';
const PARAMETERS = { method: 'PUT', path: '/v1/x/{name}', params: { name: 'a' }, query: {}, body: { z: 1, a: 'ü' } };
const bind = (headers: Record<string, string>, ask?: Parameters<typeof bindingOf>[2]['ask']) =>
  bindingOf({ headers }, PARAMETERS, { repeated: async () => false, ask });

test('a request that says nothing of approvals is bound to nothing', () => {
  assert.equal(bind({}), undefined);
});

test('its parameters are one text, whatever the order they came in', () => {
  const { bound } = bind({ 'writ-approval': ID })!;
  assert.equal(bound.approval, ID);
  assert.equal(
    bound.parameters,
    '{"body":{"a":"ü","z":1},"method":"PUT","params":{"name":"a"},"path":"/v1/x/{name}","query":{}}',
  );
});

const BAD: readonly Record<string, string>[] = [
  { 'writ-approval': 'nothing' },
  { 'writ-approval': `${ID}, ${ID}` },
  { 'writ-approval': ID, 'writ-request-approval': 'reason=x' },
  { 'writ-request-approval': '' },
  { 'writ-request-approval': 'lifetime=60' },
  { 'writ-request-approval': 'reason=x&reason=y' },
  { 'writ-request-approval': 'reason=x&for=ever' },
  { 'writ-request-approval': 'reason=x&lifetime=1h' },
  { 'writ-request-approval': 'reason=%E4' },
  { 'writ-request-approval': `reason=${'x'.repeat(5000)}` },
];

test('malformed headers are refused, without what they held', () => {
  for (const headers of BAD) {
    assert.throws(
      () => bind(headers),
      (error) => isWritError(error, 'bad_request'),
      JSON.stringify(headers),
    );
  }
});

test('only what policy wants an approval for is asked for', async () => {
  const asked: unknown[] = [];
  const ask: Parameters<typeof bindingOf>[2]['ask'] = async (_, wanted) => {
    asked.push([wanted.reason, wanted.lifetime, wanted.request.action]);
    return { id: ID, needed: 2, group: 'ca-officers', expiresAt: 3_600_000, status: 'pending' } as never;
  };
  const { bound, translate } = bind({ 'writ-request-approval': 'reason=we%20must%2C+now&lifetime=60' }, ask)!;
  const refused = new WritError('needs_approval', 'It needs 2 of ca-officers to agree.');
  assert.equal(await translate(refused, ADA), refused, 'the flow was not asked');
  const request: AccessRequest = {
    caller: ADA,
    action: 'policy.publish',
    resource: { type: 'Installation', id: 'writ' },
  };
  bound.needs(request, { allowed: false, rules: [], reasons: [], policyVersion: 1 });
  const other = new WritError('conflict', 'x');
  assert.equal(await translate(other, ADA), other);
  const opened = await translate(refused, ADA);
  assert.ok(isWritError(opened, 'needs_approval'));
  assert.deepEqual(opened.approval, {
    id: ID,
    needed: 2,
    group: 'ca-officers',
    expires_at: '1970-01-01T01:00:00.000Z',
  });
  assert.deepEqual(asked, [['we must, now', 60, 'policy.publish']]);
});
