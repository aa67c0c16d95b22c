import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { onBothEngines, onSqlite, type StoreParts } from '../../test/stores.ts';
import type { AccessRequest, Caller } from '../base/access.ts';
import { type ManualClock, manualClock } from '../base/clock.ts';
import { type ErrorCode, isWritError } from '../base/error.ts';
import { systemRandom } from '../base/random.ts';
import { newBatch } from '../db/batch.ts';
import type { Answer, Idempotency } from '../http/idempotency.ts';
import type { AgentInput } from './agent-input.ts';
import type { RegistryParts } from './flow.ts';
import { changeOwner } from './owners.ts';
import { registerAgent } from './register.ts';
import { retireAgent } from './retire.ts';
import { showAgent, showAgents } from './show.ts';
import { requireActiveAgent } from './standing.ts';
import { changeAgent } from './update.ts';

const ada: Caller = { kind: 'operator', id: 'spiffe://example.com/operator/ada', operator: 'ada' };

const planner: AgentInput = {
  name: 'planner',
  kind: 'agent',
  owner: { team: 'research', sponsor: 'alice@example.com' },
  purpose: 'plans trips',
  model: { provider: 'acme', name: 'large', version: '3' },
  labels: { tier: 'gold', 'app.kubernetes.io/name': 'planner' },
};

interface Scene extends RegistryParts {
  readonly clock: ManualClock;
  readonly asked: AccessRequest[];
  refuse: boolean;
}

function scene({ database, commit }: StoreParts): Scene {
  const asked: AccessRequest[] = [];
  const parts: Scene = {
    reader: database,
    commit,
    clock: manualClock(1_800_000_000_000),
    random: systemRandom(),
    profileFits: (profile, kind) => Promise.resolve(profile === kind || profile === 'long'),
    namesFit: async (_profile, names) => names.every((name) => name.endsWith('.example.com')),
    asked,
    refuse: false,
    authorize: (request) => {
      asked.push(request);
      return parts.refuse
        ? { allowed: false, rules: ['no'], reasons: ['Because.'], policyVersion: 1 }
        : { allowed: true, rules: ['yes'], policyVersion: 1 };
    },
  };
  return parts;
}

const code = (want: ErrorCode, field?: string) => (error: unknown) =>
  isWritError(error, want) && (field === undefined || error.field === field);

onBothEngines('an agent is registered, changed, taken over and retired', async (stores) => {
  const parts = scene(stores);
  const agent = await registerAgent(ada, planner, parts);
  assert.deepEqual(agent, {
    name: 'planner',
    kind: 'agent',
    team: 'research',
    sponsor: 'alice@example.com',
    purpose: 'plans trips',
    environment: 'production',
    model: { provider: 'acme', name: 'large', version: '3' },
    labels: { 'app.kubernetes.io/name': 'planner', tier: 'gold' },
    dnsNames: [],
    profile: 'agent',
    status: 'active',
    ownerStatus: 'active',
    version: 1,
    createdAt: 1_800_000_000_000,
    updatedAt: 1_800_000_000_000,
  });
  assert.deepEqual(await showAgent(ada, 'planner', parts), agent);
  assert.deepEqual(parts.asked[0], {
    caller: ada,
    action: 'agent.register',
    resource: {
      type: 'Agent',
      id: 'planner',
      facts: {
        team: 'research',
        environment: 'production',
        profile: 'agent',
        status: 'active',
        labels: ['app.kubernetes.io/name=planner', 'tier=gold'],
        modelProvider: 'acme',
        modelName: 'large',
      },
    },
  });

  parts.clock.advance(1000);
  const change = { owner: { team: 'ops', sponsor: 'carol@example.com' }, labels: { tier: 'silver' } };
  const moved = await changeAgent(ada, { name: 'planner', change }, parts);
  assert.deepEqual(moved, {
    ...agent,
    team: 'ops',
    sponsor: 'carol@example.com',
    labels: { tier: 'silver' },
    version: 2,
    updatedAt: 1_800_000_001_000,
  });
  assert.deepEqual(parts.asked.at(-1)?.context, {
    changes: ['team', 'sponsor', 'labels'],
    team: 'ops',
    environment: 'production',
    profile: 'agent',
  });
  assert.deepEqual(await showAgent(ada, 'planner', parts), moved);
  assert.equal(stores.epoch(), 1);

  assert.deepEqual(await changeAgent(ada, { name: 'planner', change }, parts), moved, 'no change, no version');
  assert.equal(stores.events.length, 2);

  const ended = await retireAgent(ada, 'planner', parts);
  assert.equal(ended.status, 'retired');
  assert.deepEqual(await retireAgent(ada, 'planner', parts), await showAgent(ada, 'planner', parts));
  await assert.rejects(changeAgent(ada, { name: 'planner', change: { purpose: 'x' } }, parts), code('revoked'));
  await assert.rejects(registerAgent(ada, planner, parts), code('conflict', '/name'));
  assert.deepEqual(
    stores.events.map(({ type, subjects }) => [type, ...subjects]),
    [
      ['agent.registered', 'agent:planner', 'registration:planner', 'owner:research'],
      ['agent.updated', 'agent:planner', 'registration:planner', 'owner:research', 'owner:ops'],
      ['agent.retired', 'agent:planner', 'registration:planner', 'owner:ops'],
    ],
  );
});

onSqlite('the ledger knows the sponsor by a salted hash alone', async (stores) => {
  const parts = scene(stores);
  await registerAgent(ada, planner, parts);
  assert.equal(JSON.stringify(stores.events).includes('alice'), false);
  const row = await stores.database.get('SELECT sponsor_salt FROM agent');
  const salt = row?.['sponsor_salt'] as Uint8Array;
  assert.equal(salt.length, 16);
  assert.equal(
    stores.events[0]?.body['sponsor_sha256'],
    hash('sha256', Buffer.concat([salt, Buffer.from('alice@example.com')])),
  );
});

onSqlite('nobody registers without leave, owner, free name or known profile', async (stores) => {
  const parts = scene(stores);
  const bad: [Partial<AgentInput>, ErrorCode, string][] = [
    [{ name: 'Planner' }, 'bad_request', '/name'],
    [{ owner: { team: '', sponsor: 'a' } }, 'bad_request', '/owner/team'],
    [{ owner: { team: 'a', sponsor: '' } }, 'bad_request', '/owner/sponsor'],
    [{ owner: { team: 'a', sponsor: ' a' } }, 'bad_request', '/owner/sponsor'],
    [{ owner: { team: 'a', sponsor: 'a'.repeat(255) } }, 'bad_request', '/owner/sponsor'],
    [{ purpose: 'two\nlines' }, 'bad_request', '/purpose'],
    [{ purpose: 'right-to-left \u202e' }, 'bad_request', '/purpose'],
    [{ purpose: 'half \ud800' }, 'bad_request', '/purpose'],
    [{ environment: 'a_b' }, 'bad_request', '/environment'],
    [{ model: { provider: '', name: 'x' } }, 'bad_request', '/model/provider'],
    [{ labels: { '': 'x' } }, 'bad_request', '/labels'],
    [{ labels: { __proto__x: 'x' } }, 'bad_request', '/labels'],
    [{ labels: { 'a/b': '' } }, 'bad_request', '/labels/a~1b'],
    [{ labels: Object.fromEntries([...'x'.repeat(33)].map((_, i) => [`l${i}`, 'v'])) }, 'too_large', '/labels'],
    [{ profile: 'root' }, 'bad_request', '/profile'],
  ];
  for (const [part, want, field] of bad) {
    await assert.rejects(registerAgent(ada, { ...planner, ...part }, parts), code(want, field), field);
  }
  parts.refuse = true;
  await assert.rejects(registerAgent(ada, planner, parts), code('denied'));
  await assert.rejects(showAgent(ada, 'nobody', parts), code('denied'), 'who may not know is not told');
  parts.refuse = false;
  await assert.rejects(showAgent(ada, 'nobody', parts), code('not_found'));
  await assert.rejects(showAgent(ada, "no'body", parts), code('not_found'));
  assert.equal(stores.events.length, 0);
  assert.equal(await stores.database.get('SELECT 1 FROM agent'), undefined);
});

onBothEngines('the database refuses what two flows did not see of each other', async (stores) => {
  const parts = scene(stores);
  const both = await Promise.allSettled([registerAgent(ada, planner, parts), registerAgent(ada, planner, parts)]);
  assert.deepEqual(both.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
  const changes = ['one', 'two'].map((purpose) => changeAgent(ada, { name: 'planner', change: { purpose } }, parts));
  const changed = await Promise.allSettled(changes);
  assert.deepEqual(changed.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
  for (const outcome of [...both, ...changed]) {
    if (outcome.status === 'rejected') assert.ok(code('conflict')(outcome.reason));
  }
  assert.equal((await showAgent(ada, 'planner', parts)).version, 2);
});

onBothEngines('an owner that is gone stops its agents, until another team takes them or it is back', async (stores) => {
  const parts = scene(stores);
  const agent = await registerAgent(ada, planner, parts);
  const mayIssue = async () => {
    const batch = newBatch();
    requireActiveAgent(batch, await showAgent(ada, 'planner', parts));
    return (await parts.commit(batch)).committed;
  };
  assert.equal(await mayIssue(), true);
  await changeOwner(ada, { team: 'research', status: 'gone' }, parts);
  assert.equal(await mayIssue(), false);
  assert.equal(stores.epoch(), 1);
  assert.deepEqual(await showAgent(ada, 'planner', parts), { ...agent, ownerStatus: 'gone' });
  await assert.rejects(registerAgent(ada, { ...planner, name: 'other' }, parts), code('inactive', '/owner/team'));
  await assert.rejects(changeAgent(ada, { name: 'planner', change: { purpose: 'x' } }, parts), code('inactive'));
  await changeAgent(ada, { name: 'planner', change: { owner: { team: 'ops' } } }, parts);
  assert.equal(await mayIssue(), true);
  await changeOwner(ada, { team: 'ops', status: 'gone' }, parts);
  await changeOwner(ada, { team: 'ops', status: 'gone' }, parts);
  assert.equal(await mayIssue(), false);
  await changeOwner(ada, { team: 'ops', status: 'active' }, parts);
  assert.equal(await mayIssue(), true);
  await assert.rejects(changeOwner(ada, { team: 'nobody', status: 'gone' }, parts), code('not_found'));
  assert.equal(stores.events.filter(({ type }) => type === 'owner.updated').length, 3);
});

onSqlite('a dry run checks everything and keeps nothing', async (stores) => {
  const parts = scene(stores);
  const agent = await registerAgent(ada, planner, parts, { dryRun: true });
  assert.equal(agent.version, 1);
  await assert.rejects(showAgent(ada, 'planner', parts), code('not_found'));
  await registerAgent(ada, planner, parts);
  await assert.rejects(registerAgent(ada, planner, parts, { dryRun: true }), code('conflict'));
  await changeAgent(ada, { name: 'planner', change: { purpose: 'x' } }, parts, { dryRun: true });
  await retireAgent(ada, 'planner', parts, { dryRun: true });
  await changeOwner(ada, { team: 'research', status: 'gone' }, parts, { dryRun: true });
  assert.deepEqual(await showAgent(ada, 'planner', parts), agent);
});

onSqlite('a repeat under one key gets the first answer, if it is still allowed', async (stores) => {
  const parts = scene(stores);
  let kept: Answer | undefined;
  const idempotency: Idempotency = {
    first: () => Promise.resolve(kept),
    keep: (_, answer) => {
      kept = answer;
    },
  };
  const agent = await registerAgent(ada, planner, parts, { idempotency });
  await changeAgent(ada, { name: 'planner', change: { purpose: 'x' } }, parts);
  assert.deepEqual(await registerAgent(ada, planner, parts, { idempotency }), agent);
  parts.refuse = true;
  await assert.rejects(registerAgent(ada, planner, parts, { idempotency }), code('denied'));
});

onBothEngines('listings are narrowed, ordered and walked page by page', async (stores) => {
  const parts = scene(stores);
  for (let i = 0; i < 12; i++) {
    await registerAgent(
      ada,
      {
        ...planner,
        name: `a-${i}`,
        kind: i % 4 === 3 ? 'service' : 'agent',
        owner: { team: i % 2 === 0 ? 'even' : 'odd', sponsor: 'x' },
        environment: i < 6 ? 'dev' : 'production',
        labels: i % 3 === 0 ? { tier: 'gold', n: `${i}` } : { tier: 'silver' },
      },
      parts,
    );
  }
  await retireAgent(ada, 'a-4', parts);
  const walk = async (filter: object, limit: number): Promise<string[]> => {
    const names: string[] = [];
    for (let cursor: string | undefined, pages = 0; pages < 20; pages++) {
      const page = await showAgents(ada, filter, { limit, ...(cursor === undefined ? {} : { cursor }) }, parts);
      assert.ok(page.items.length <= limit);
      names.push(...page.items.map((agent) => agent.name.slice(2)));
      cursor = page.next;
      if (cursor === undefined) break;
    }
    return names;
  };
  const all = ['0', '1', '10', '11', '2', '3', '4', '5', '6', '7', '8', '9'];
  for (const limit of [1, 3, 12, 200]) assert.deepEqual(await walk({}, limit), all);
  assert.deepEqual(await walk({ team: 'odd' }, 2), ['1', '11', '3', '5', '7', '9']);
  assert.deepEqual(await walk({ labels: { tier: 'gold' } }, 2), ['0', '3', '6', '9']);
  assert.deepEqual(await walk({ labels: { tier: 'gold', n: '6' } }, 2), ['6']);
  assert.deepEqual(await walk({ labels: { tier: 'gold' }, team: 'even' }, 2), ['0', '6']);
  assert.deepEqual(await walk({ kind: 'service' }, 5), ['11', '3', '7']);
  assert.deepEqual(await walk({ environment: 'dev', status: 'active' }, 2), ['0', '1', '2', '3', '5']);
  assert.deepEqual(await walk({ status: 'retired' }, 2), ['4']);
  assert.deepEqual(await walk({ team: 'nobody' }, 2), []);
  const page = await showAgents(ada, { team: 'odd' }, { limit: 2 }, parts);
  await assert.rejects(showAgents(ada, {}, { cursor: page.next! }, parts), code('bad_cursor'));
});

onBothEngines('DNS names are checked, kept, recorded and taken back', async (stores) => {
  const parts = scene(stores);
  const names = ['db.example.com', 'reports.example.com'];
  const input = { ...planner, kind: 'service', name: 'db', profile: 'service' } as const;
  const bad: [readonly string[], ErrorCode, string][] = [
    [['DB.example.com'], 'bad_request', '/dns_names/0'],
    [['db.example.com', '*.example.com'], 'bad_request', '/dns_names/1'],
    [['10.0.0.1'], 'bad_request', '/dns_names/0'],
    [['db.example.org'], 'bad_request', '/dns_names'],
    [Array.from({ length: 17 }, (_, at) => `a${at}.example.com`), 'too_large', '/dns_names'],
  ];
  for (const [dnsNames, want, field] of bad) {
    await assert.rejects(registerAgent(ada, { ...input, dnsNames }, parts), code(want, field), dnsNames[0]);
  }
  const db = await registerAgent(ada, { ...input, dnsNames: [...names, names[0]!] }, parts);
  assert.deepEqual(db.dnsNames, names);
  assert.deepEqual((await showAgent(ada, 'db', parts)).dnsNames, names);
  const same = await changeAgent(ada, { name: 'db', change: { purpose: 'keeps' } }, parts);
  assert.deepEqual(same.dnsNames, names, 'what is not named stays');
  const outside = changeAgent(ada, { name: 'db', change: { dnsNames: ['db.example.org'] } }, parts);
  await assert.rejects(outside, code('bad_request', '/dns_names'));
  const fewer = await changeAgent(ada, { name: 'db', change: { dnsNames: [] } }, parts);
  assert.deepEqual([fewer.dnsNames, fewer.version], [[], 3]);
  assert.deepEqual(parts.asked.at(-1)?.context?.['changes'], ['dnsNames']);
});
