import assert from 'node:assert/strict';
import { onBothEngines, onSqlite, type StoreParts } from '../../test/stores.ts';
import type { AccessRequest, Caller, Verdict } from '../base/access.ts';
import { type ManualClock, manualClock } from '../base/clock.ts';
import { type ErrorCode, isWritError } from '../base/error.ts';
import { newId } from '../base/id.ts';
import { idOctets } from '../base/id-octets.ts';
import { systemRandom } from '../base/random.ts';
import { newBatch } from '../db/batch.ts';
import type { Answer, Idempotency } from '../http/idempotency.ts';
import { insertInstance, stopInstance } from '../registry/instance.ts';
import { createLookup } from '../registry/lookup.ts';
import { changeOwner } from '../registry/owners.ts';
import { registerAgent } from '../registry/register.ts';
import { formatJoinToken, parseJoinToken } from '../wire/join-token.ts';
import type { Attestation, Attested } from './attested.ts';
import type { TokenParts } from './flow.ts';
import { createToken } from './token/create.ts';
import type { TokenInput } from './token/input.ts';
import { attestJoinToken } from './token/join-token.ts';
import { revokeToken, showToken, showTokens } from './token/manage.ts';
import { pushTokenPurge, withdrawAllTokens } from './token/store.ts';

const NOW = 1_800_000_000_000;
const HOUR = 3_600_000;
const random = systemRandom();
const ada: Caller = { kind: 'operator', id: 'spiffe://example.com/operator/ada', operator: 'ada' };

interface Scene extends TokenParts {
  readonly clock: ManualClock;
  readonly asked: AccessRequest[];
  refuse: Extract<Verdict, { allowed: false }> | undefined;
  /** Enrols with a token's text; gives the instance's id, or why not. */
  enrol(text: string): Promise<string>;
  attest(text: string): Promise<Attestation>;
}

const DENIED = { allowed: false, rules: ['no'], reasons: ['Because.'], policyVersion: 1 } as const;

async function scene({ database, commit }: StoreParts): Promise<Scene> {
  const asked: AccessRequest[] = [];
  const registered = createLookup(database);
  const parts: Scene = {
    reader: database,
    commit,
    clock: manualClock(NOW),
    random,
    registered,
    server: { address: 'ca.example.com:8443', rootFingerprint: new Uint8Array(32).fill(7) },
    asked,
    refuse: undefined,
    authorize: (request) => {
      asked.push(request);
      return parts.refuse ?? { allowed: true, rules: ['yes'], policyVersion: 1 };
    },
    attest: (text) =>
      attestJoinToken(parseJoinToken(text), { reader: database, clock: parts.clock, instances: registered }),
    async enrol(text) {
      const attestation = await parts.attest(text);
      return attestation.accepted ? enrolWith(attestation.attested, parts) : attestation.fault;
    },
  };
  const agent = { kind: 'agent', owner: { team: 'research', sponsor: 'alice' }, purpose: 'plans' } as const;
  const registry = { ...parts, profileFits: () => Promise.resolve(true), namesFit: () => Promise.resolve(true) };
  await registerAgent(ada, { ...agent, name: 'planner' }, registry);
  await registerAgent(ada, { ...agent, name: 'db', kind: 'service' }, registry);
  return parts;
}

/** What enrolment does with evidence, but for the certificate. */
async function enrolWith(attested: Attested, parts: Scene): Promise<string> {
  const id = newId(parts.clock.now(), random);
  const batch = newBatch();
  attested.record(batch, id);
  insertInstance(batch, {
    id,
    agent: attested.agent,
    status: 'active',
    enrolledAt: parts.clock.now(),
    firstSerial: Uint8Array.of(1),
    latestSerial: Uint8Array.of(1),
    attestation: attested.kind,
    reference: attested.reference,
    ...(attested.expiresAt === undefined ? {} : { attestedUntil: attested.expiresAt }),
    ...(attested.parent === undefined ? {} : { parent: attested.parent }),
    ...(attested.workflow === undefined ? {} : { workflow: attested.workflow }),
    scopes: attested.scopes,
    labels: attested.labels,
  });
  const outcome = await parts.commit(batch);
  return outcome.committed ? id : outcome.refusal;
}

const instanceOf = (id: string): Caller => ({
  kind: 'agent',
  id: `spiffe://example.com/agent/planner/${id}`,
  agent: 'planner',
  instance: id,
});

const code = (want: ErrorCode, field?: string) => (error: unknown) =>
  isWritError(error, want) && (field === undefined || error.field === field);

onBothEngines('a token says what it lets in, once', async (stores) => {
  const parts = await scene(stores);
  const input = {
    agent: 'planner',
    workflow: 'invoices',
    scopes: ['write', 'read', 'read'],
    labels: { b: '1', a: '2' },
  };
  const { text, kind, ...token } = await createToken(ada, input, parts);
  assert.equal(kind, 'agent');
  assert.deepEqual(token, {
    id: token.id,
    agent: 'planner',
    workflow: 'invoices',
    scopes: ['read', 'write'],
    labels: { a: '2', b: '1' },
    uses: 1,
    used: 0,
    createdAt: NOW,
    createdBy: ada.id,
    expiresAt: NOW + HOUR,
  });
  assert.deepEqual(parts.asked.at(-1), {
    caller: ada,
    action: 'token.create',
    resource: (await parts.registered.agent('planner'))?.resource,
    context: { uses: 1, lifetimeSeconds: 3600, scopes: ['read', 'write'], workflow: 'invoices' },
  });
  const parsed = parseJoinToken(text);
  assert.equal(parsed.address, 'ca.example.com:8443');
  assert.deepEqual(new Uint8Array(parsed.rootFingerprint), new Uint8Array(32).fill(7));

  const attestation = await parts.attest(text);
  assert.ok(attestation.accepted);
  const { record: _, ...attested } = attestation.attested;
  assert.deepEqual(attested, {
    kind: 'join-token',
    agent: 'planner',
    reference: token.id,
    workflow: 'invoices',
    scopes: ['read', 'write'],
    labels: { a: '2', b: '1' },
    facts: { attestation: 'join-token' },
  });
  const instance = await parts.enrol(text);
  assert.deepEqual((await parts.registered.instance(instance))?.scopes, ['read', 'write']);
  assert.equal(await parts.enrol(text), 'spent');
  const { used, lastUsedAt, status } = await showToken(ada, token.id, parts);
  assert.deepEqual({ used, lastUsedAt, status }, { used: 1, lastUsedAt: NOW, status: 'spent' });
  assert.deepEqual(
    stores.events.slice(2).map(({ type, subjects }) => [type, ...subjects]),
    [
      ['token.created', `token:${token.id}`, 'agent:planner'],
      ['token.used', `token:${token.id}`, 'agent:planner', `instance:${instance}`],
    ],
  );
});

onBothEngines('one use is one use, however many race', async (stores) => {
  const parts = await scene(stores);
  for (const uses of [1, 3]) {
    const { text, id } = await createToken(ada, { agent: 'planner', uses }, parts);
    // All have looked before any of them commits.
    const looks = await Promise.all(Array.from({ length: 8 }, () => parts.attest(text)));
    const outcomes = await Promise.all(
      looks.map((look) => enrolWith((look as { attested: Attested }).attested, parts)),
    );
    assert.equal(outcomes.filter((outcome) => outcome === 'token_refused').length, 8 - uses);
    assert.equal((await showToken(ada, id, parts)).used, uses);
    const rows = await stores.database.all('SELECT 1 FROM instance WHERE reference = ?', [id]);
    assert.equal(rows.length, uses);
  }
});

onBothEngines('a token that is unknown, wrong, spent, expired or revoked lets nobody in', async (stores) => {
  const parts = await scene(stores);
  const { text, id } = await createToken(ada, { agent: 'planner', lifetimeSeconds: 60 }, parts);
  const parsed = parseJoinToken(text);
  const wrong = Buffer.from(parsed.secret);
  wrong[19] = wrong[19]! ^ 1;
  assert.deepEqual(await parts.attest(formatJoinToken({ ...parsed, secret: wrong })), {
    accepted: false,
    fault: 'unknown',
  });
  const stranger = formatJoinToken({ ...parsed, id: idOctets(newId(NOW, random)) });
  assert.deepEqual(await parts.attest(stranger), { accepted: false, fault: 'unknown' });
  const empty = formatJoinToken({ ...parsed, id: idOctets(newId(NOW, random)), secret: new Uint8Array(20) });
  assert.deepEqual(await parts.attest(empty), { accepted: false, fault: 'unknown' });

  const before = (await parts.attest(text)) as { attested: Attested };
  parts.clock.set(NOW + 59_999);
  assert.equal((await parts.attest(text)).accepted, true);
  parts.clock.set(NOW + 60_000);
  assert.deepEqual(await parts.attest(text), { accepted: false, fault: 'expired', reference: id });

  parts.clock.set(NOW);
  const revoked = await revokeToken(ada, id, parts);
  assert.deepEqual([revoked.status, revoked.revokedAt], ['revoked', NOW]);
  assert.deepEqual(await parts.attest(text), { accepted: false, fault: 'revoked', reference: id });
  assert.equal(await enrolWith(before.attested, parts), 'token_refused', 'the commit looks again');
  parts.clock.advance(5);
  assert.deepEqual(await revokeToken(ada, id, parts), revoked, 'answers with the first time');
  assert.equal(stores.events.filter(({ type }) => type === 'token.revoked').length, 1);
});

onSqlite('no secret is in the database, the ledger or a listing', async (stores) => {
  const parts = await scene(stores);
  const { text, id } = await createToken(ada, { agent: 'planner', uses: 2 }, parts);
  await parts.enrol(text);
  const secret = Buffer.from(parseJoinToken(text).secret);
  const rows = await stores.database.all('SELECT * FROM join_token');
  const dump = [rows, stores.events, await showTokens(ada, {}, {}, parts), await showToken(ada, id, parts)].map(
    (part) =>
      JSON.stringify(part, (_, value) => (value instanceof Uint8Array ? Buffer.from(value).toString('hex') : value)),
  );
  for (const form of [text, ...(['hex', 'base64', 'base64url', 'latin1'] as const).map((as) => secret.toString(as))]) {
    for (const part of dump) assert.equal(part.includes(form), false);
  }
  assert.ok(dump[0]?.includes('secret_hash'), 'the dump holds what it is searched for');
});

onBothEngines('an instance lets in children that say no more than it does and end with it', async (stores) => {
  const parts = await scene(stores);
  const input = { agent: 'planner', workflow: 'w', scopes: ['a', 'b'] };
  const parent = await parts.enrol((await createToken(ada, input, parts)).text);
  const caller = instanceOf(parent);
  const { text, ...token } = await createToken(caller, { agent: 'planner', scopes: ['a'], uses: 2 }, parts);
  assert.equal(token.workflow, 'w', 'its own workflow');
  assert.equal(token.parent, parent);
  assert.deepEqual(parts.asked.at(-1)?.context, {
    uses: 2,
    lifetimeSeconds: 3600,
    scopes: ['a'],
    workflow: 'w',
    callerScopes: ['a', 'b'],
    callerWorkflow: 'w',
    callerDepth: 0,
  });
  const child = await parts.enrol(text);
  assert.equal((await parts.registered.instance(child))?.depth, 1);
  const made = stores.events.find(({ type, body }) => type === 'token.created' && body['token'] === token.id);
  assert.deepEqual(made?.subjects, [`token:${token.id}`, 'agent:planner', `instance:${parent}`]);

  const looked = (await parts.attest(text)) as { attested: Attested };
  const stop = newBatch();
  stopInstance(stop, parent, NOW);
  await parts.commit(stop);
  assert.deepEqual(await parts.attest(text), { accepted: false, fault: 'parent-stopped', reference: token.id });
  assert.equal(await enrolWith(looked.attested, parts), 'conflict', 'the commit looks again');
  await assert.rejects(createToken(caller, { agent: 'planner' }, parts), code('conflict'));
});

onSqlite('children of an instance whose evidence ends, end with it', async (stores) => {
  const parts = await scene(stores);
  const parent = newId(NOW, random);
  const batch = newBatch();
  insertInstance(batch, {
    id: parent,
    agent: 'planner',
    status: 'active',
    enrolledAt: NOW,
    firstSerial: Uint8Array.of(1),
    latestSerial: Uint8Array.of(1),
    attestation: 'oidc',
    reference: 'x',
    attestedUntil: NOW + 90_000,
    scopes: [],
    labels: {},
  });
  await parts.commit(batch);
  const token = await createToken(instanceOf(parent), { agent: 'planner' }, parts);
  assert.equal(token.expiresAt, NOW + 90_000);
  assert.equal(token.attestedUntil, NOW + 90_000);
  const attestation = (await parts.attest(token.text)) as { attested: Attested };
  assert.equal(attestation.attested.expiresAt, NOW + 90_000);
});

onSqlite('no token without leave, for nobody, or of a shape that cannot be', async (stores) => {
  const parts = await scene(stores);
  const bad: [Partial<TokenInput>, ErrorCode, string][] = [
    [{ agent: 'Planner' }, 'bad_request', '/agent'],
    [{ uses: 0 }, 'bad_request', '/uses'],
    [{ uses: 10_001 }, 'bad_request', '/uses'],
    [{ uses: 1.5 }, 'bad_request', '/uses'],
    [{ lifetimeSeconds: 59 }, 'bad_request', '/lifetime_seconds'],
    [{ lifetimeSeconds: 2_592_001 }, 'bad_request', '/lifetime_seconds'],
    [{ workflow: '' }, 'bad_request', '/workflow'],
    [{ workflow: 'two words' }, 'bad_request', '/workflow'],
    [{ scopes: ['ok', 'ä'] }, 'bad_request', '/scopes/1'],
    [{ scopes: ['x'.repeat(97)] }, 'bad_request', '/scopes/0'],
    [{ scopes: Array.from({ length: 33 }, (_, i) => `s${i}`) }, 'too_large', '/scopes'],
    [{ labels: { _: 'x' } }, 'bad_request', '/labels'],
    [{ agent: 'nobody' }, 'not_found', '/agent'],
    [{ agent: 'db', kind: 'agent' }, 'not_found', '/agent'],
  ];
  for (const [part, want, field] of bad) {
    await assert.rejects(createToken(ada, { agent: 'planner', ...part }, parts), code(want, field), field);
  }
  parts.refuse = DENIED;
  await assert.rejects(createToken(ada, { agent: 'planner' }, parts), code('denied'));
  await assert.rejects(createToken(ada, { agent: 'nobody' }, parts), code('denied'));
  await assert.rejects(showTokens(ada, {}, {}, parts), code('denied'));
  await assert.rejects(showToken(ada, newId(NOW, random), parts), code('denied'));
  parts.refuse = undefined;
  await assert.rejects(showToken(ada, newId(NOW, random), parts), code('not_found'));
  assert.equal(stores.events.length, 2);

  const registry = { ...parts, profileFits: () => Promise.resolve(true), namesFit: () => Promise.resolve(true) };
  await changeOwner(ada, { team: 'research', status: 'gone' }, registry);
  parts.refuse = { ...DENIED, rules: ['guard.active'] };
  await assert.rejects(createToken(ada, { agent: 'planner' }, parts), code('inactive'), 'the better reason');
  assert.equal((await stores.database.all('SELECT 1 FROM join_token')).length, 0);
});

onSqlite('a dry run makes none, a repeat under one key gets the same', async (stores) => {
  const parts = await scene(stores);
  assert.equal((await createToken(ada, { agent: 'planner' }, parts, { dryRun: true })).text, '');
  assert.equal((await stores.database.all('SELECT 1 FROM join_token')).length, 0);
  let kept: Answer | undefined;
  const idempotency: Idempotency = {
    first: () => Promise.resolve(kept),
    keep: (_, answer) => {
      kept = answer;
    },
  };
  const token = await createToken(ada, { agent: 'planner' }, parts, { idempotency });
  assert.equal((kept as Answer | undefined)?.kind, 'secret', 'sealed where it is kept');
  assert.deepEqual(await createToken(ada, { agent: 'planner' }, parts, { idempotency }), token);
  assert.equal((await stores.database.all('SELECT 1 FROM join_token')).length, 1);
});

onBothEngines('tokens are listed for whom they concern, and purged when they concern nobody', async (stores) => {
  const parts = await scene(stores);
  const parent = await parts.enrol((await createToken(ada, { agent: 'planner' }, parts)).text);
  const ids: Record<string, string> = {};
  const makers: [string, Caller, string][] = [
    ['a', ada, 'planner'],
    ['b', ada, 'db'],
    ['c', instanceOf(parent), 'planner'],
  ];
  for (const [name, caller, agent] of makers) {
    parts.clock.advance(1000);
    ids[(await createToken(caller, { agent }, parts)).id] = name;
  }
  const list = async (caller: Caller, filter: { agent?: string } = {}): Promise<string> => {
    let found = '';
    for (let cursor: string | undefined, pages = 0; pages < 9; pages++) {
      const page = await showTokens(caller, filter, { limit: 1, ...(cursor && { cursor }) }, parts);
      for (const { id } of page.items) found += ids[id] ?? '-';
      cursor = page.next;
      if (cursor === undefined) break;
    }
    return found;
  };
  assert.equal(await list(ada), '-abc');
  assert.equal(await list(ada, { agent: 'db' }), 'b');
  assert.equal(await list(instanceOf(parent)), 'c');
  assert.equal(parts.asked.at(-1)?.context?.['own'], true);
  assert.equal(await list(instanceOf(parent), { agent: 'db' }), '');
  const [own] = Object.keys(ids).filter((id) => ids[id] === 'c');
  await showToken(instanceOf(parent), own!, parts);
  assert.deepEqual(parts.asked.at(-1)?.context, { own: true });
  await showToken(instanceOf(parent), Object.keys(ids)[0]!, parts);
  assert.deepEqual(parts.asked.at(-1)?.context, { own: false });

  const batch = newBatch();
  const before = newId(NOW + 2000, () => new Uint8Array(10));
  pushTokenPurge(batch, before, 10);
  await parts.commit(batch);
  assert.equal(await list(ada), 'bc');
});

onBothEngines('where an older database was put in place no token of it lets anybody in', async (stores) => {
  const parts = await scene(stores);
  const { text, id } = await createToken(ada, { agent: 'planner', uses: 2 }, parts);
  await parts.enrol(text);
  const batch = newBatch();
  batch.writes.push(...withdrawAllTokens(NOW + 1));
  await parts.commit(batch);
  assert.equal(await parts.enrol(text), 'revoked');
  assert.equal((await showToken(ada, id, parts)).revokedAt, NOW + 1);
});
