import assert from 'node:assert/strict';
import { generateKeyPairSync, sign } from 'node:crypto';
import { describe, test } from 'node:test';
import { onBothEngines, onSqlite, type StoreParts } from '../../../test/stores.ts';
import type { Caller } from '../../base/access.ts';
import { type ManualClock, manualClock } from '../../base/clock.ts';
import { WritError } from '../../base/error.ts';
import { parseJwks } from '../../jwt/jwk.ts';
import { assembleJws, signingInput } from '../../jwt/jws.ts';
import { parseTrustDomain } from '../../spiffe-id/trust-domain.ts';
import { START } from '../testdata/ssf-world.ts';
import { CREDENTIAL_CHANGE, RISK_LEVEL_CHANGE, SESSION_REVOKED, VERIFICATION } from './events.ts';
import { forgetReceived, type HoldTarget, type Received, receiveSet } from './receive.ts';
import { hashBearer, transmitterOf } from './trusted.ts';

const BEARER = 'Bearer 0123456789abcdef';
const ID = '01jd0000000000000000000000';
const PLANNER = `spiffe://agents.example.com/agent/planner/${ID}`;
const pair = generateKeyPairSync('ed25519');
const keys = parseJwks(
  Buffer.from(JSON.stringify({ keys: [{ ...pair.publicKey.export({ format: 'jwk' }), kid: 'k' }] })),
  'theirs',
);
const TRUSTED = [
  { issuer: 'https://risk.example.com', audience: 'urn:writ', keys, bearerHash: hashBearer('0123456789abcdef') },
  { issuer: 'https://other.example.com', audience: 'urn:writ', keys, bearerHash: hashBearer('fedcba9876543210') },
];
const HIGH = { [RISK_LEVEL_CHANGE]: { principal: 'USER', current_level: 'HIGH' } };

type Claims = Record<string, unknown>;

/** A token as RFC 8417 §2 and CAEP 1.0 have it; `undefined` leaves a claim out. */
function token(changes: Claims = {}, typ = 'secevent+jwt'): string {
  const claims: Claims = {
    iss: 'https://risk.example.com',
    jti: '24c63fb56e5a2d77a6b512616ca9fa24',
    iat: START / 1000,
    aud: 'urn:writ',
    txn: '8675309',
    sub_id: { format: 'uri', uri: PLANNER },
    events: HIGH,
    ...changes,
  };
  const input = signingInput({ alg: 'EdDSA', typ, kid: 'k' }, claims);
  return assembleJws(input, sign(null, Buffer.from(input), pair.privateKey));
}

interface Held {
  readonly caller: Caller;
  readonly target: HoldTarget;
  readonly evidence: string | undefined;
}

interface World {
  readonly clock: ManualClock;
  readonly held: Held[];
  receive(token: string, authorization?: string): Promise<Received>;
}

/** `quarantine` is the only thing that a signal can reach. */
function world({ database, commit }: StoreParts, fails?: () => Error | undefined): World {
  const clock = manualClock(START);
  const held: Held[] = [];
  const parts = {
    reader: database,
    commit,
    clock,
    trustDomain: parseTrustDomain('agents.example.com'),
    trusted: TRUSTED,
    async quarantine(caller: Caller, target: HoldTarget, evidence: string | undefined) {
      const error = fails?.();
      if (error !== undefined) throw error;
      held.push({ caller, target, evidence });
    },
  };
  return { clock, held, receive: (given, authorization = BEARER) => receiveSet(given, authorization, parts) };
}

onBothEngines(
  'a high risk holds the instance that it names, once, with issuer and jti on the ledger',
  async (parts) => {
    const it = world(parts);
    assert.deepEqual(await it.receive(token()), { ok: true });
    assert.deepEqual(await it.receive(token()), { ok: true });
    assert.deepEqual(it.held, [
      {
        caller: { kind: 'system', id: 'system:signal' },
        target: { kind: 'instance', id: ID },
        evidence: 'https://risk.example.com/#jti=24c63fb56e5a2d77a6b512616ca9fa24',
      },
    ]);
    assert.deepEqual(parts.events, [
      {
        type: 'signal.received',
        subjects: [`instance:${ID}`],
        body: {
          caller: 'system:signal',
          issuer: 'https://risk.example.com',
          jti: '24c63fb56e5a2d77a6b512616ca9fa24',
          event: RISK_LEVEL_CHANGE,
          outcome: 'quarantined',
        },
      },
    ]);
    // The memory of it ends long after such a token is too old to be taken.
    it.clock.advance(8 * 86_400_000);
    const means = { reader: parts.database, commit: parts.commit, clock: it.clock };
    assert.deepEqual([await forgetReceived(means, 10), await forgetReceived(means, 10)], [true, false]);
    assert.equal((await it.receive(token())).ok, false);
  },
);

onSqlite('what could not be held is not taken, so that it comes again', async (parts) => {
  let error: Error | undefined = new WritError('storage_failed', 'The disk is full.');
  const it = world(parts, () => error);
  await assert.rejects(it.receive(token()));
  error = undefined;
  assert.deepEqual([await it.receive(token()), it.held.length], [{ ok: true }, 1]);
  error = new WritError('revoked', 'It is stopped for ever already.');
  assert.deepEqual(await it.receive(token({ jti: 'b' })), { ok: true });
  error = new WritError('not_found', 'There is none.');
  assert.deepEqual(await it.receive(token({ jti: 'c' })), { ok: true });
  assert.deepEqual(
    parts.events.map(({ body }) => body['outcome']),
    ['quarantined', 'stopped already', 'unknown'],
  );
});

const holds: readonly { name: string; claims: Claims; target?: HoldTarget }[] = [
  { name: 'session-revoked', claims: { events: { [SESSION_REVOKED]: {} } }, target: { kind: 'instance', id: ID } },
  {
    name: 'credential-change, revoke',
    claims: { events: { [CREDENTIAL_CHANGE]: { credential_type: 'x509', change_type: 'revoke' } } },
    target: { kind: 'instance', id: ID },
  },
  {
    name: 'an agent as a whole',
    claims: { sub_id: { format: 'uri', uri: 'spiffe://agents.example.com/agent/planner' } },
    target: { kind: 'agent', name: 'planner' },
  },
  {
    name: 'a member of a complex subject',
    claims: {
      sub_id: { format: 'complex', tenant: { format: 'opaque', id: 'x' }, user: { format: 'uri', uri: PLANNER } },
    },
    target: { kind: 'instance', id: ID },
  },
  { name: 'one audience of several', claims: { aud: ['urn:a', 'urn:writ'] }, target: { kind: 'instance', id: ID } },
  { name: 'a medium risk', claims: { events: { [RISK_LEVEL_CHANGE]: { current_level: 'MEDIUM' } } } },
  { name: 'a new credential', claims: { events: { [CREDENTIAL_CHANGE]: { change_type: 'create' } } } },
  { name: 'a verification', claims: { events: { [VERIFICATION]: {} } } },
  { name: 'an event that nobody knows', claims: { events: { 'urn:x': null } } },
  { name: 'another trust domain', claims: { sub_id: { format: 'uri', uri: PLANNER.replace('example', 'elsewhere') } } },
  { name: 'an operator', claims: { sub_id: { format: 'uri', uri: 'spiffe://agents.example.com/operator/ada' } } },
  { name: 'the server', claims: { sub_id: { format: 'uri', uri: 'spiffe://agents.example.com/writ/server' } } },
  { name: 'all agents', claims: { sub_id: { format: 'uri', uri: 'spiffe://agents.example.com/agent' } } },
  { name: 'no SPIFFE ID', claims: { sub_id: { format: 'uri', uri: 'https://agents.example.com/../' } } },
  { name: 'a person by mail', claims: { sub_id: { format: 'email', email: 'jane.doe@example.com' } } },
  { name: 'nobody', claims: { sub_id: undefined } },
];

describe('which signals hold whom', () => {
  for (const { name, claims, target } of holds) {
    onSqlite(name, async (parts) => {
      const it = world(parts);
      assert.deepEqual(await it.receive(token(claims)), { ok: true });
      assert.deepEqual(
        it.held.map((one) => one.target),
        target === undefined ? [] : [target],
      );
    });
  }
});

const now = START / 1000;
const refused: readonly { name: string; token: string; bearer?: string; err: string }[] = [
  { name: 'no bearer', token: token(), bearer: '', err: 'authentication_failed' },
  { name: 'another bearer', token: token(), bearer: 'Bearer 0123456789abcdeg', err: 'authentication_failed' },
  { name: 'a bearer of another issuer', token: token(), bearer: 'Bearer fedcba9876543210', err: 'invalid_issuer' },
  { name: 'another scheme', token: token(), bearer: 'Basic 0123456789abcdef', err: 'authentication_failed' },
  { name: 'another issuer', token: token({ iss: 'https://evil.example.com' }), err: 'invalid_issuer' },
  { name: 'another audience', token: token({ aud: 'urn:other' }), err: 'invalid_audience' },
  { name: 'no audience', token: token({ aud: undefined }), err: 'invalid_audience' },
  { name: 'a subject beside sub_id', token: token({ sub: PLANNER }), err: 'invalid_request' },
  { name: 'an expiry', token: token({ exp: now + 60 }), err: 'invalid_request' },
  { name: 'no jti', token: token({ jti: undefined }), err: 'invalid_request' },
  { name: 'a long jti', token: token({ jti: 'x'.repeat(257) }), err: 'invalid_request' },
  { name: 'the future', token: token({ iat: now + 120 }), err: 'invalid_request' },
  { name: 'the past', token: token({ iat: now - 8 * 86_400 }), err: 'invalid_request' },
  { name: 'no time', token: token({ iat: '1' }), err: 'invalid_request' },
  { name: 'no event', token: token({ events: {} }), err: 'invalid_request' },
  { name: 'a plain JWT', token: token({}, 'JWT'), err: 'invalid_request' },
  { name: 'an altered signature', token: `${token().slice(0, -6)}AAAAAA`, err: 'invalid_key' },
  // RFC 8935 Figure 1: signed with HS256, the header with a line end in it.
  {
    name: 'the example of RFC 8935, which nobody here can verify',
    token:
      'eyJ0eXAiOiJzZWNldmVudCtqd3QiLCJhbGciOiJIUzI1NiJ9Cg.eyJpc3MiOiJodHRwczovL2lkcC5leGFtcGxlLmNvbS8ifQ.Y4rXxMD406P2edv00cr9Wf3_XwNtLjB9n-jTqN1_lLc',
    err: 'invalid_key',
  },
];

describe('what is refused, and leaves no trace', () => {
  for (const { name, token: given, bearer, err } of refused) {
    onSqlite(name, async (parts) => {
      const it = world(parts);
      const received = await it.receive(given, bearer ?? BEARER);
      assert.deepEqual([received.ok, received.ok ? '' : received.err], [false, err]);
      assert.deepEqual([it.held, parts.events], [[], []]);
    });
  }
});

test('a bearer is looked for among all', () => {
  assert.equal(transmitterOf(TRUSTED, 'bearer  fedcba9876543210')?.issuer, 'https://other.example.com');
  assert.equal(transmitterOf(TRUSTED, undefined), undefined);
  assert.equal(transmitterOf([], BEARER), undefined);
});
