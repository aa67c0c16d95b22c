import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Caller } from '../base/access.ts';
import { type AccessDecision, isWritError, WritError } from '../base/error.ts';
import { systemRandom } from '../base/random.ts';
import type { AccessSubmission } from '../wire/access-task.ts';
import { accessSubmission } from '../wire/access-task.ts';
import { parse } from '../wire/schema.ts';
import { type DenialMeans, openDenial, type Refused, requestable, wishOf } from './denial.ts';
import { inProfile } from './problem.ts';

const ADA: Caller = {
  ...{ kind: 'operator', id: 'spiffe://example.com/operator/ada', operator: 'ada', serial: Uint8Array.of(1) },
};
const START = 1_800_000_000_000;
let now = START;
const secret = new Uint8Array(32).fill(7);
const MEANS: DenialMeans = {
  ...{ secret: () => secret, now: () => now, random: systemRandom() },
  endpoint: () => 'https://writ.example.com:8443/access/v1/requests',
};

const REFUSED: Refused = {
  request: {
    caller: ADA,
    action: 'certificate.issue',
    resource: { type: 'Agent', id: 'planner', facts: { team: 'research' } },
    context: { lifetimeSeconds: 86_400 },
  },
  verdict: {
    ...{ allowed: false, rules: ['long-lives'], reasons: ['It is long.'], policyVersion: 3 },
    needsApproval: { count: 2, group: 'ca-officers' },
  },
  parameters: '{"body":{"csr":"secret text"},"method":"POST","path":"/v1/certificates"}',
};

interface AccessRequestMember {
  readonly endpoint: string;
  readonly expires_at: string;
  readonly binding_token: string;
  readonly template: string;
}

/** What a PEP makes of it: everything echoed unchanged. */
function echo({ subject, resource, action, context }: AccessDecision, more: object = {}): AccessSubmission {
  const { expires_at, binding_token, template } = context['access_request'] as AccessRequestMember;
  const { evaluation_id, evaluated_at, reason } = context as Record<string, string>;
  const denial = { evaluation_id, evaluated_at, expires_at, reason, binding_token, template };
  const why = { business_justification: 'the batch runs over night' };
  return parse(accessSubmission, { subject, resource, action, context: why, denial, ...more }, 'body');
}

const type = (name: string) => (error: unknown) =>
  isWritError(error) && error.as?.type === `urn:openid:authzen:access-request:error:${name}`;

test('a refusal becomes a requestable denial with the members of the profile, and comes back as it was', () => {
  const denial = requestable(ADA, REFUSED, MEANS)!;
  assert.equal(denial.decision, false);
  const asked = denial.context['access_request'] as AccessRequestMember;
  assert.equal(asked.endpoint, 'https://writ.example.com:8443/access/v1/requests');
  assert.equal(asked.expires_at, new Date(START + 600_000).toISOString());
  assert.ok(!Buffer.from(asked.binding_token, 'base64url').includes('secret text'), 'encrypted');
  const opened = openDenial(ADA, echo(denial), MEANS);
  assert.deepEqual([opened.verdict, opened.parameters], [REFUSED.verdict, REFUSED.parameters]);
  assert.deepEqual(opened.request, REFUSED.request, 'asked by the caller of now');
  assert.deepEqual(wishOf(echo(denial), START), { reason: 'the batch runs over night' });
  const until = { requested_access: { requested_until: new Date(START + 7_200_000).toISOString() } };
  assert.equal(wishOf(echo(denial, until), START).lifetime, 7200);
  assert.throws(
    () => wishOf(echo(denial, { context: {} }), START),
    (error) => isWritError(error, 'bad_request'),
  );
  assert.equal(requestable(ADA, { ...REFUSED, parameters: 'x'.repeat(40_000) }, MEANS), undefined);
});

test('nobody else, nothing else, and not later', () => {
  const denial = requestable(ADA, REFUSED, MEANS)!;
  const bob: Caller = { ...ADA, id: 'spiffe://example.com/operator/bob', operator: 'bob' };
  const changes: readonly object[] = [
    { subject: { type: 'operator', id: bob.id } },
    { subject: { type: 'agent', id: ADA.id } },
    { resource: { type: 'Agent', id: 'payer' } },
    { action: { name: 'certificate.renew' } },
    { denial: { ...echo(denial).denial, expires_at: new Date(START + 900_000).toISOString() } },
    { denial: { ...echo(denial).denial, evaluation_id: 'another' } },
  ];
  for (const change of changes) {
    const given = echo(denial, change);
    assert.throws(() => openDenial(ADA, given, MEANS), type('invalid_denial_binding'), JSON.stringify(change));
  }
  const stolen = echo(denial, { subject: { type: 'operator', id: bob.id } });
  assert.throws(() => openDenial(bob, stolen, MEANS), type('invalid_denial_binding'));
  const { denial: own } = echo(denial);
  const { binding_token: token = '', ...without } = own;
  assert.throws(() => openDenial(ADA, echo(denial, { denial: without }), MEANS), type('not_requestable'));
  for (let at = 0; at < token.length; at += 7) {
    const altered = token.slice(0, at) + (token[at] === 'A' ? 'B' : 'A') + token.slice(at + 1);
    const given = echo(denial, { denial: { ...own, binding_token: altered } });
    assert.throws(() => openDenial(ADA, given, MEANS), type('invalid_denial_binding'), `octet ${at}`);
  }
  const other = { ...MEANS, secret: () => new Uint8Array(32) };
  assert.throws(() => openDenial(ADA, echo(denial), other), type('invalid_denial_binding'), 'of another installation');
  now = START + 600_000 - 1;
  openDenial(ADA, echo(denial), MEANS);
  now = START + 600_000;
  assert.throws(() => openDenial(ADA, echo(denial), MEANS), type('expired_denial'));
  now = START;
});

test('a bundle and a callback are refused, not overlooked', () => {
  const denial = requestable(ADA, REFUSED, MEANS)!;
  for (const more of [{ items: [] }, { callback: { url: 'https://pep.example.com' } }]) {
    assert.throws(
      () => echo(denial, more),
      (error) => isWritError(error, 'bad_request'),
      JSON.stringify(more),
    );
  }
});

test('what flows throw is said with the types of the profile', async () => {
  for (const [code, name, status] of [
    ['not_found', 'unknown_task', 404],
    ['conflict', 'invalid_task_state', 409],
    ['idempotency_mismatch', 'duplicate_request', 409],
    ['needs_approval', 'not_requestable', 400],
  ] as const) {
    await assert.rejects(
      inProfile(async () => {
        throw new WritError(code, 'It is so.', { field: '/id', remedy: 'Do otherwise.' });
      }),
      (error) => type(name)(error) && isWritError(error, code) && error.as?.status === status && error.field === '/id',
    );
  }
  const denied = new WritError('denied', 'No.');
  await assert.rejects(
    inProfile(async () => {
      throw denied;
    }),
    (error) => error === denied,
  );
});
