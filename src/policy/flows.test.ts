import assert from 'node:assert/strict';
import { onSqlite } from '../../test/stores.ts';
import { createToken } from '../attest/token/create.ts';
import { attestJoinToken } from '../attest/token/join-token.ts';
import { revokeToken, showToken, showTokens } from '../attest/token/manage.ts';
import type { Caller } from '../base/access.ts';
import { manualClock } from '../base/clock.ts';
import { type ErrorCode, isWritError } from '../base/error.ts';
import { newId } from '../base/id.ts';
import { silentLog } from '../base/log.ts';
import { systemRandom } from '../base/random.ts';
import { newBatch } from '../db/batch.ts';
import { insertInstance } from '../registry/instance.ts';
import { createLookup } from '../registry/lookup.ts';
import { changeOwner, showOwners } from '../registry/owners.ts';
import { registerAgent } from '../registry/register.ts';
import { retireAgent } from '../registry/retire.ts';
import { showAgent, showAgents, showInstance, showInstances, showOperators } from '../registry/show.ts';
import { changeAgent } from '../registry/update.ts';
import { parseJoinToken } from '../wire/join-token.ts';
import { createGuard } from './guard.ts';
import { Policy } from './policy.ts';
import { insertDefaultPolicy } from './publish.ts';
import { ADA, ANONYMOUS, LIMITS } from './testdata/requests.ts';

const NOW = Date.UTC(2026, 10, 22, 12);
const code = (want: ErrorCode) => (error: unknown) => isWritError(error, want);

// The flows of registry and attestation ask with facts of their own making; here guard and default set hear them.
onSqlite('what operators do every day is allowed, and what instances do for themselves', async (stores) => {
  const { database, commit } = stores;
  const clock = manualClock(NOW);
  const random = systemRandom();
  const first = newBatch();
  insertDefaultPolicy(first, NOW);
  await commit(first);
  const policy = new Policy({
    reader: database,
    epoch: { current: stores.epoch, confirmedAt: () => NOW },
    clock,
    guard: createGuard(LIMITS),
    log: silentLog,
    groups: async () => new Map([[ADA.operator!, ADA.groups!]]),
  });
  await policy.fresh();
  const registered = createLookup(database);
  const parts = {
    reader: database,
    authorize: policy.authorize,
    commit,
    clock,
    random,
    registered,
    profileFits: () => Promise.resolve(true),
    namesFit: async () => true,
    server: { address: 'localhost:8443', rootFingerprint: new Uint8Array(32) },
  };
  const agent = { owner: { team: 'research', sponsor: 'alice' }, purpose: 'plans' };
  for (const [name, kind] of [
    ['planner', 'agent'],
    ['payer', 'agent'],
    ['db', 'service'],
  ] as const) {
    await registerAgent(ADA, { ...agent, name, kind, model: { provider: 'acme', name: 'large' } }, parts);
  }
  await changeAgent(ADA, { name: 'db', change: { labels: { tier: 'gold' } } }, parts);
  await assert.rejects(
    registerAgent(ADA, { ...agent, name: 'x', kind: 'agent', profile: 'operator' }, parts),
    code('denied'),
  );
  await assert.rejects(changeAgent(ADA, { name: 'db', change: { profile: 'root' } }, parts), code('denied'));
  await showAgent(ADA, 'db', parts);
  await showAgents(ADA, {}, {}, parts);
  await showInstances(ADA, { agent: 'db' }, {}, parts);
  await showOperators(ADA, parts);
  await showOwners(ADA, {}, parts);
  await assert.rejects(showAgent(ADA, 'nobody', parts), code('not_found'));
  await assert.rejects(showInstance(ADA, newId(NOW, random), parts), code('not_found'));

  const token = await createToken(ADA, { agent: 'planner', workflow: 'w', scopes: ['a'] }, parts);
  await showToken(ADA, token.id, parts);
  await showTokens(ADA, {}, {}, parts);
  await assert.rejects(showToken(ADA, newId(NOW, random), parts), code('not_found'));
  const attestation = await attestJoinToken(parseJoinToken(token.text), {
    reader: database,
    clock,
    instances: registered,
  });
  assert.ok(attestation.accepted);
  const id = newId(NOW, random);
  const enrol = newBatch();
  attestation.attested.record(enrol, id);
  insertInstance(enrol, {
    ...attestation.attested,
    id,
    status: 'active',
    enrolledAt: NOW,
    firstSerial: Uint8Array.of(1),
    latestSerial: Uint8Array.of(1),
    attestation: attestation.attested.kind,
  });
  assert.ok((await commit(enrol)).committed);

  const planner: Caller = {
    kind: 'agent',
    id: `spiffe://example.com/agent/planner/${id}`,
    agent: 'planner',
    instance: id,
  };
  await showAgent(planner, 'planner', parts);
  await showInstance(planner, id, parts);
  await showInstances(planner, { agent: 'planner' }, {}, parts);
  const own = await createToken(planner, { agent: 'planner', scopes: ['a'] }, parts);
  assert.equal((await showTokens(planner, {}, {}, parts)).items.length, 1);
  await showToken(planner, own.id, parts);
  await revokeToken(planner, own.id, parts);
  const never = [
    () => registerAgent(planner, { ...agent, name: 'x', kind: 'agent' }, parts),
    () => changeAgent(planner, { name: 'planner', change: { purpose: 'x' } }, parts),
    () => retireAgent(planner, 'planner', parts),
    () => changeOwner(planner, { team: 'research', status: 'gone' }, parts),
    () => showAgent(planner, 'payer', parts),
    () => showAgent(planner, 'nobody', parts),
    () => showAgents(planner, {}, {}, parts),
    () => showInstance(planner, newId(NOW, random), parts),
    () => showOperators(planner, parts),
    () => showToken(planner, token.id, parts),
    () => showToken(planner, newId(NOW, random), parts),
    () => revokeToken(planner, token.id, parts),
    () => createToken(planner, { agent: 'payer' }, parts),
    () => createToken(planner, { agent: 'nobody' }, parts),
    () => createToken(planner, { agent: 'planner', scopes: ['b'] }, parts),
    () => createToken(planner, { agent: 'planner', workflow: 'v' }, parts),
    () => showAgent(ANONYMOUS, 'planner', parts),
    () => createToken(ANONYMOUS, { agent: 'planner' }, parts),
  ];
  for (const act of never) await assert.rejects(act(), code('denied'), String(act));

  await changeOwner(ADA, { team: 'research', status: 'gone' }, parts);
  await policy.fresh();
  await assert.rejects(createToken(ADA, { agent: 'planner' }, parts), code('inactive'));
  await assert.rejects(changeOwner(ADA, { team: 'research', status: 'active' }, parts), code('needs_approval'));
  await changeAgent(ADA, { name: 'planner', change: { owner: { team: 'ops' } } }, parts);
  await policy.fresh();
  await createToken(ADA, { agent: 'planner' }, parts);
  await retireAgent(ADA, 'planner', parts);
  await policy.fresh();
  await assert.rejects(createToken(ADA, { agent: 'planner' }, parts), code('revoked'));
  policy.close();
});
