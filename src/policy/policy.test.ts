import assert from 'node:assert/strict';
import { test } from 'node:test';
import { onBothEngines, onSqlite, type StoreParts } from '../../test/stores.ts';
import type { AccessRequest, Verdict } from '../base/access.ts';
import { type ManualClock, manualClock } from '../base/clock.ts';
import { type ErrorCode, isWritError } from '../base/error.ts';
import { type Log, silentLog } from '../base/log.ts';
import { newBatch } from '../db/batch.ts';
import type { Reader } from '../db/database.ts';
import type { Answer, Idempotency } from '../http/idempotency.ts';
import { createGuard } from './guard.ts';
import { Policy } from './policy.ts';
import { checkPolicy, insertDefaultPolicy, type PublishParts, publishPolicy, showPolicy } from './publish.ts';
import {
  digestOf,
  insertPolicySet,
  listPolicySets,
  readPolicySet,
  readPolicyVersion,
  requirePolicyVersion,
} from './store.ts';
import { ADA, ADMINISTRATOR, INSTANCE, LIMITS, request } from './testdata/requests.ts';
import { defaultPolicyText, schemaText } from './text-files.ts';

const NOON = Date.UTC(2026, 10, 22, 12);

interface Scene {
  readonly policy: Policy;
  readonly parts: PublishParts;
  readonly clock: ManualClock;
  readonly told: [AccessRequest, Verdict][];
  readonly logged: string[];
  /** How many queries have been asked. */
  readonly queries: () => number;
  fail: boolean;
  confirmed: boolean;
}

function scene({ database, commit, epoch }: StoreParts): Scene {
  const clock = manualClock(NOON);
  const told: Scene['told'] = [];
  const logged: string[] = [];
  let queries = 0;
  const reader: Reader = {
    all: (sql, params) => database.all(sql, params),
    get: (sql, params) => {
      queries += 1;
      return self.fail ? Promise.reject(new Error('gone')) : database.get(sql, params);
    },
  };
  const note = (event: string): unknown => logged.push(event);
  const log: Log = { ...silentLog, debug: note, error: note };
  const policy = new Policy({
    reader,
    clock,
    log,
    guard: createGuard(LIMITS),
    groups: async () => new Map([[ADA.operator!, ADA.groups!]]),
    epoch: { current: epoch, confirmedAt: () => (self.confirmed ? clock.now() : NOON) },
    refused: (asked, verdict) => told.push([asked, verdict]),
  });
  const { authorize } = policy;
  const self: Scene = {
    policy,
    parts: { reader: database, authorize, commit, clock, cedar: policy.cedar },
    clock,
    told,
    logged,
    queries: () => queries,
    fail: false,
    confirmed: true,
  };
  return self;
}

async function withDefault(stores: StoreParts): Promise<Scene> {
  const batch = newBatch();
  insertDefaultPolicy(batch, NOON);
  await stores.commit(batch);
  const made = scene(stores);
  await made.policy.fresh();
  return made;
}

const NOTHING = '';
const ALL = '@id("all") @description("Everybody may do everything.") permit (principal, action, resource);';

const code = (want: ErrorCode) => (error: unknown) => isWritError(error, want);

onSqlite('the set of a new installation decides, and its refusals are told', async (stores) => {
  const { policy, told } = await withDefault(stores);
  assert.equal(policy.version, 1);
  assert.deepEqual(policy.authorize(request('agent.register')), {
    allowed: true,
    rules: ['operators-register'],
    policyVersion: 1,
    groups: ['ca-officers', 'security'],
  });
  assert.deepEqual(told, []);
  const asked = request('policy.publish');
  const verdict = policy.authorize(asked);
  assert.ok(!verdict.allowed && verdict.needsApproval?.group === 'ca-officers');
  const never = request('agent.register', { caller: INSTANCE });
  const refused = policy.authorize(never);
  assert.deepEqual(!refused.allowed && refused.rules, ['guard.operators-only']);
  assert.deepEqual(told, [
    [asked, verdict],
    [never, refused],
  ]);
  const explained = policy.explain(never);
  assert.deepEqual(explained.verdict, refused);
  assert.deepEqual(explained.sentences.slice(-3), [
    'The rule guard.operators-only refuses it, and no policy set can change that.',
    'Operators alone may do agent.register; an agent or service never may.',
    'Refused.',
  ]);
  assert.deepEqual(policy.explain(request('agent.register')).sentences.slice(-3), [
    'The guard has nothing against it.',
    'The rule operators-register permits it: Operators register agents and services.',
    'Allowed.',
  ]);
  assert.equal(told.length, 2, 'explaining records nothing');
});

onSqlite('before any set is in force everything is refused, but to the administrator', async (stores) => {
  const { policy, parts } = scene(stores);
  const refused = (): boolean => !policy.authorize(request('agent.read')).allowed;
  assert.ok(refused(), 'not loaded');
  await policy.fresh();
  assert.ok(refused(), 'loaded: there is none');
  assert.deepEqual(policy.authorize(request('policy.publish', { caller: ADMINISTRATOR })), {
    allowed: true,
    rules: ['administrator.alone'],
    policyVersion: 0,
  });
  const set = await publishPolicy(ADMINISTRATOR, { text: ALL }, parts);
  assert.equal(set.version, 1);
  await policy.fresh();
  assert.ok(!refused());
});

onBothEngines('a set is published by those who may, whole, and decides from then on', async (stores) => {
  const { policy, parts, clock } = await withDefault(stores);
  await assert.rejects(publishPolicy(ADA, { text: ALL }, parts), code('needs_approval'));
  await assert.rejects(publishPolicy(INSTANCE, { text: ALL }, parts), code('denied'));
  const early = policy.authorize(request('operator.remove', { type: 'Operator', id: 'bob' }));
  assert.deepEqual([early.allowed, early.policyVersion], [false, 1]);
  clock.advance(5);
  const set = await publishPolicy(ADMINISTRATOR, { text: ALL, after: 1 }, parts);
  assert.deepEqual(set, {
    version: 2,
    digest: digestOf(ALL),
    text: ALL,
    schemaDigest: digestOf(schemaText()),
    publishedAt: NOON + 5,
    publishedBy: ADMINISTRATOR.id,
  });
  assert.deepEqual(await readPolicySet(stores.database), set);
  assert.deepEqual(await showPolicy(ADA, parts), set);
  assert.deepEqual(
    (await listPolicySets(stores.database, 5)).map(({ version }) => version),
    [2, 1],
  );
  assert.equal(stores.epoch(), 2);
  assert.deepEqual(stores.events.at(-1), {
    type: 'policy.published',
    subjects: ['policy:2'],
    body: { caller: ADMINISTRATOR.id, version: 2, digest: set.digest, schema_digest: set.schemaDigest, text: ALL },
  });
  assert.equal(stores.events[0]?.body['text'], defaultPolicyText());

  // What the former set decided and is still on its way is discarded by its commit.
  const discarded = newBatch();
  requirePolicyVersion(discarded, 1);
  assert.deepEqual(await stores.commit(discarded), {
    committed: false,
    refusal: 'conflict',
    reason: 'Another policy set was published meanwhile.',
  });
  await policy.fresh();
  const late = policy.authorize(request('operator.remove', { type: 'Operator', id: 'bob' }));
  assert.deepEqual([late.allowed, late.policyVersion], [true, 2], 'what was remembered went with the former set');
  const kept = newBatch();
  requirePolicyVersion(kept, 2);
  assert.equal((await stores.commit(kept)).committed, true);
});

onBothEngines('a set with a fault, or made on what is no longer in force, is not published', async (stores) => {
  const { parts } = await withDefault(stores);
  const bad = publishPolicy(ADMINISTRATOR, { text: `${ALL}\npermit (principal, action, resource);` }, parts);
  await assert.rejects(bad, (error) => {
    assert.ok(isWritError(error, 'bad_policy'));
    assert.match(error.reasons.join('\n'), /^2:1: error: a rule needs an @id/);
    return true;
  });
  await assert.rejects(publishPolicy(ADMINISTRATOR, { text: ALL, after: 0 }, parts), code('conflict'));
  const both = await Promise.allSettled([ALL, NOTHING].map((text) => publishPolicy(ADMINISTRATOR, { text }, parts)));
  assert.deepEqual(both.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
  assert.equal(await readPolicyVersion(stores.database), 2);
  const { text } = (await readPolicySet(stores.database))!;
  await publishPolicy(ADMINISTRATOR, { text }, parts);
  assert.equal(await readPolicyVersion(stores.database), 2, 'the same text again is no new set');
  await publishPolicy(ADMINISTRATOR, { text: defaultPolicyText() }, parts, { dryRun: true });
  assert.equal(await readPolicyVersion(stores.database), 2);
  let kept: Answer | undefined;
  const idempotency: Idempotency = {
    first: () => Promise.resolve(kept),
    keep: (_, answer) => {
      kept = answer;
    },
  };
  const set = await publishPolicy(ADMINISTRATOR, { text: defaultPolicyText() }, parts, { idempotency });
  assert.deepEqual(
    await publishPolicy(ADMINISTRATOR, { text: defaultPolicyText(), after: 2 }, parts, { idempotency }),
    set,
  );
});

onSqlite('the largest set fits an entry of the ledger, however it is written', async (stores) => {
  const { parts } = await withDefault(stores);
  // Quotes and line breaks double in JSON.
  const text = `${ALL}\n${'//""""""""""""\n'.repeat(4000)}`.slice(0, 32 * 1024);
  await publishPolicy(ADMINISTRATOR, { text }, parts);
  const { type, subjects, body } = stores.events.at(-1)!;
  const entry = { v: 1, type, time: new Date(0).toISOString(), nonce: 'x'.repeat(22), subjects, body };
  assert.ok(Buffer.byteLength(JSON.stringify(entry)) <= 65_535);
});

onSqlite('freshness costs nothing while the epoch stays, one query when it moves', async (stores) => {
  const made = await withDefault(stores);
  const { policy, queries } = made;
  const before = queries();
  for (let i = 0; i < 100; i++) await policy.fresh();
  assert.equal(queries(), before);
  const batch = newBatch();
  batch.bumpsEpoch = true;
  await stores.commit(batch);
  await Promise.all([policy.fresh(), policy.fresh(), policy.fresh()]);
  assert.equal(queries(), before + 1);
  assert.equal(made.logged.filter((event) => event === 'policy set loaded').length, 1);
});

onSqlite('who asks for freshness while an older look is under way gets a newer one', async (stores) => {
  const { policy, parts } = await withDefault(stores);
  const batch = newBatch();
  batch.bumpsEpoch = true;
  await stores.commit(batch);
  const older = policy.fresh();
  await publishPolicy(ADMINISTRATOR, { text: ALL }, parts);
  await Promise.all([policy.fresh(), policy.fresh()]);
  assert.equal(policy.version, 2);
  await older;
});

onSqlite('when it cannot be known which set is in force, everything is refused before long', async (stores) => {
  const made = await withDefault(stores);
  const { policy, clock } = made;
  const allowed = (): boolean => policy.authorize(request('agent.read')).allowed;
  clock.advance(60_000);
  assert.ok(allowed(), 'the epoch is being followed');

  // The database cannot be read after the epoch moved.
  made.fail = true;
  const batch = newBatch();
  batch.bumpsEpoch = true;
  await stores.commit(batch);
  await policy.fresh();
  assert.equal(made.logged.at(-1), 'policy set not loaded');
  const since = clock.now();
  clock.set(since + 1000);
  await policy.fresh();
  clock.set(NOON + 4999);
  assert.ok(allowed());
  clock.set(since + 6000);
  assert.ok(!allowed());
  made.fail = false;
  await policy.fresh();
  assert.ok(allowed(), 'and again when it can');

  // The epoch itself is not being followed.
  made.confirmed = false;
  clock.set(NOON + 5000);
  assert.ok(allowed());
  clock.set(NOON + 5001);
  assert.ok(!allowed());
  assert.ok(policy.authorize(request('policy.publish', { caller: ADMINISTRATOR })).allowed);
});

onSqlite('a set that does not fit this version refuses until another is published', async (stores) => {
  const made = await withDefault(stores);
  const { policy, parts } = made;
  const text = ALL.replace('action,', 'action == Action::"of.another.version",');
  const batch = newBatch();
  insertPolicySet(batch, {
    version: 2,
    digest: digestOf(text),
    text,
    schemaDigest: 'of another version',
    publishedAt: NOON,
    publishedBy: 'x',
  });
  await stores.commit(batch);
  await policy.fresh();
  await policy.fresh();
  assert.equal(policy.authorize(request('agent.read')).allowed, false, 'the former set is not in force any more');
  assert.equal(made.logged.filter((event) => event.includes('does not fit')).length, 1, 'looked at once');
  await publishPolicy(ADMINISTRATOR, { text: ALL }, parts);
  await policy.fresh();
  assert.equal(policy.authorize(request('agent.read')).allowed, true);
});

test('whatever goes wrong inside is a refusal', () => {
  const broken = new Policy({
    reader: { all: () => Promise.reject(new Error('x')), get: () => Promise.reject(new Error('x')) },
    epoch: { current: () => 0, confirmedAt: () => NOON },
    clock: manualClock(NOON),
    guard: () => {
      throw new Error('a defect');
    },
    log: silentLog,
  });
  assert.equal(broken.authorize(request('agent.read')).allowed, false);
  assert.equal(broken.authorize(request('agent.read', { caller: ADMINISTRATOR })).allowed, false);
});

onSqlite('the passphrase is not enough where nobody knows who else there is', async (stores) => {
  let known = true;
  let epoch = 0;
  const policy = new Policy({
    reader: stores.database,
    epoch: { current: () => epoch, confirmedAt: () => NOON },
    clock: manualClock(NOON),
    guard: createGuard(LIMITS),
    people: () => (known ? Promise.resolve({ all: 1, ofGroup: new Map() }) : Promise.reject(new Error('gone'))),
    log: silentLog,
  });
  const publish = request('policy.publish', { caller: ADMINISTRATOR });
  assert.ok(!policy.authorize(publish).allowed, 'before anything was read');
  await policy.fresh();
  assert.deepEqual(policy.authorize(publish).rules, ['administrator.alone']);
  [known, epoch] = [false, 1];
  await policy.fresh();
  assert.ok(!policy.authorize(publish).allowed);
  policy.close();
});

onSqlite('a text that breaks Cedar breaks neither decisions nor the next check', async (stores) => {
  const { policy, parts } = await withDefault(stores);
  const text = `@id("a") @description("b") permit (principal, action, resource) when { ${'1+'.repeat(7000)}1 == 1 };`;
  const { cedar } = policy;
  assert.equal(checkPolicy(cedar, text).length, 1);
  assert.ok(cedar.broken, 'or this test shows nothing');
  // Asked for the first time, so that no memory answers.
  assert.ok(policy.authorize(request('agent.retire')).allowed);
  assert.deepEqual(checkPolicy(policy.cedar, defaultPolicyText()), []);
  await assert.rejects(publishPolicy(ADMINISTRATOR, { text }, { ...parts, cedar: policy.cedar }), code('bad_policy'));
  assert.equal(policy.version, 1);
});
