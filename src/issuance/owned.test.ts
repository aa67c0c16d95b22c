import assert from 'node:assert/strict';
import { onEachEngine } from '../../test/engines.ts';
import {
  ADA,
  callerOf,
  createInstallation,
  type Installation,
  letIn,
  newKey,
  register,
  registered,
} from '../../test/installation.ts';
import { EntryCache } from '../attest/entry/cache.ts';
import type { EntryInput } from '../attest/entry/input.ts';
import { createEntry, removeEntry, type ShownEntry } from '../attest/entry/manage.ts';
import { readInstanceEvidence } from '../attest/evidence-store.ts';
import { type ErrorCode, isWritError } from '../base/error.ts';
import { newBatch } from '../db/batch.ts';
import { idempotencyOf } from '../http/idempotency.ts';
import { readInstance, stopInstance } from '../registry/instance.ts';
import type { IssuedCertificate } from './issued.ts';
import { type OwnedRequest, startOwned } from './owned.ts';
import { renewWorkload } from './renew-workload.ts';
import { enrolWorkload } from './workload.ts';

const code = (wanted: ErrorCode, field?: string) => (error: unknown) =>
  isWritError(error, wanted) && (field === undefined || error.field === field);
const [TOOLS, OTHER] = ['b'.repeat(64), 'c'.repeat(64)];

function entryParts(installation: Installation) {
  const { database: reader, policy, commit, clock, random } = installation;
  const parts = { reader, authorize: policy.authorize, commit, clock, random, registered: registered(installation) };
  return { ...parts, lifetimeFits: async () => true };
}

function entry(installation: Installation, more: Partial<EntryInput> = {}): Promise<ShownEntry> {
  const input = { agent: 'planner', source: { node: 'crew' }, match: ['parent:reference=trip-*'], ...more };
  return createEntry(ADA, input, entryParts(installation));
}

async function scene(installation: Installation) {
  await register(installation, 'planner');
  await register(installation, 'critic');
  for (const name of ['crew', 'other']) await register(installation, name, 'service');
  const parent = await letIn(installation, { agent: 'crew' });
  const drifts: [string, readonly string[]][] = [];
  const parts = {
    ...installation.issuance,
    entries: new EntryCache(installation.database),
    drifted: async (instance: string, names: readonly string[]) => void drifts.push([instance, names]),
  };
  const start = async (more: Partial<OwnedRequest> = {}, by: IssuedCertificate = parent): Promise<IssuedCertificate> =>
    startOwned(
      callerOf(by),
      { csr: await newKey().csr(), agent: 'planner', reference: 'trip-1', ...more },
      { ...parts },
    );
  return { parent, parts, drifts, start };
}

async function stop(installation: Installation, instance: string): Promise<void> {
  const batch = newBatch();
  stopInstance(batch, instance, installation.clock.now());
  await installation.commit(batch);
}

onEachEngine('an orchestrator gets each instance that it runs by its own reference, once', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { parent, start } = await scene(installation);
  const made = await entry(installation, { workflow: 'trips', scopes: ['plan'] });
  const before = (await installation.events()).length;
  const one = await start({ runtime: { tools_sha256: TOOLS } });
  const instance = (await readInstance(installation.database, one.instance!))!;
  assert.deepEqual(
    [instance.parent, instance.attestation, instance.reference, instance.workflow, instance.scopes],
    [parent.instance, 'parent', 'trip-1', 'trips', ['plan']],
  );
  const evidence = (await readInstanceEvidence(installation.database, one.instance!))!;
  assert.deepEqual([evidence.kind, evidence.entry], ['parent', made.id]);
  assert.deepEqual(evidence.facts['parent:reference'], ['trip-1']);
  const [enrolled] = await installation.events(before);
  assert.deepEqual(enrolled?.body['facts'], evidence.facts);

  const again = await start();
  assert.equal(again.instance, one.instance);
  assert.notDeepEqual(again.serial, one.serial);
  const other = await start({ reference: 'trip-2' });
  assert.notEqual(other.instance, one.instance);

  // At the same time, and with the very same request.
  const both = await Promise.all(Array.from({ length: 4 }, () => start({ reference: 'trip-3' })));
  assert.equal(new Set(both.map((each) => each.instance)).size, 1);
  const csr = await newKey().csr();
  const idempotency = () =>
    idempotencyOf(
      { caller: parent.id, route: 'POST /v1/children', key: 'k'.repeat(16), target: '/v1/children', body: csr },
      installation.database,
      installation.clock,
    );
  const first = await start({ csr, reference: 'trip-4', idempotency: idempotency() });
  const second = await start({ csr, reference: 'trip-4', idempotency: idempotency() });
  assert.deepEqual([second.instance, second.serial], [first.instance, first.serial]);
  await installation.close();
});

onEachEngine('nobody is let in so whom no entry for the orchestrator’s service asks for', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { start } = await scene(installation);
  await assert.rejects(start(), code('denied'));
  await entry(installation, { source: { node: 'other' } });
  await assert.rejects(start(), code('denied'), 'an entry for others');
  await entry(installation, { workflow: 'trips', match: ['parent:reference=trip-*', `agent:tools_sha256=${TOOLS}`] });
  await assert.rejects(start(), code('denied'), 'nothing is said of its tools');
  await assert.rejects(start({ runtime: { tools_sha256: OTHER } }), code('denied'));
  const runtime = { tools_sha256: TOOLS };
  await assert.rejects(start({ runtime, reference: 'task-1' }), code('denied'));
  await assert.rejects(start({ runtime, agent: 'critic' }), code('denied'));
  await assert.rejects(start({ runtime, agent: 'nobody' }), code('denied'));
  await assert.rejects(start({ runtime, workflow: 'billing' }), code('denied'));
  await assert.rejects(start({ runtime, wish: { scopes: ['admin'] } }), code('denied'));
  const agent = await letIn(installation, { agent: 'planner' });
  await assert.rejects(start({ runtime }, agent), code('denied'), 'an agent is no orchestrator');
  await installation.refusals.flush(true);
  const refused = (await installation.events()).filter(({ type }) => type === 'certificate.refused');
  assert.ok(refused.some(({ body }) => JSON.stringify(body).includes('No registration entry for the service')));
  const rows = await installation.database.all('SELECT 1 FROM owned_instance', []);
  assert.equal(rows.length, 0);
  await start({ runtime, workflow: 'trips' });
  await installation.close();
});

onEachEngine('a reference is one instance of one parent for ever, whatever becomes of it', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { parent, parts, drifts, start } = await scene(installation);
  const made = await entry(installation);
  await entry(installation, { agent: 'critic' });
  const sibling = await letIn(installation, { agent: 'crew' });
  const runtime = { tools_sha256: TOOLS };
  const one = await start({ runtime });
  assert.notEqual((await start({}, sibling)).instance, one.instance, 'references of another are its own');
  await assert.rejects(start({ agent: 'critic' }), code('conflict', '/reference'));
  await assert.rejects(start({ workflow: 'trips' }), code('conflict', '/reference'));
  const renew = async (by: IssuedCertificate, more: object = {}) =>
    renewWorkload(callerOf(by), { csr: await newKey().csr(), instance: one.instance!, ...more }, parts);
  await assert.rejects(renew(sibling), code('denied'));
  assert.equal((await renew(parent, { runtime })).instance, one.instance);
  // Facts of processes take nothing of what it is called by, and say nothing in its place.
  const facts = { 'parent:reference': ['trip-9'] };
  assert.equal((await renew(parent, { facts })).instance, one.instance);
  assert.equal((await start({ runtime })).instance, one.instance);

  for (const act of [
    () => start({ runtime: { tools_sha256: OTHER } }),
    () => renew(parent, { runtime: { tools_sha256: OTHER } }),
  ]) {
    await assert.rejects(act(), code('inactive'));
    assert.deepEqual(drifts.pop(), [one.instance, ['agent:tools_sha256']]);
  }
  await stop(installation, one.instance!);
  await assert.rejects(start({ runtime }), code('revoked'));
  await assert.rejects(renew(parent), code('revoked'));
  const next = await start({ reference: 'trip-2' });
  await removeEntry(ADA, made.id, entryParts(installation));
  await assert.rejects(start({ reference: 'trip-2' }), code('inactive'));
  assert.equal((await readInstance(installation.database, next.instance!))?.status, 'active');

  await stop(installation, parent.instance!);
  await assert.rejects(start({ agent: 'critic', reference: 'trip-5' }), isWritError);
  const rows = await installation.database.all('SELECT 1 FROM owned_instance WHERE reference = ?', ['trip-5']);
  assert.equal(rows.length, 0);
  await installation.close();
});

onEachEngine('a node cannot say in its facts what only an orchestrator’s reference says', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { parent } = await scene(installation);
  const made = await entry(installation);
  const request = { csr: await newKey().csr(), entry: made.id, facts: { 'parent:reference': ['trip-1'] } };
  await assert.rejects(enrolWorkload(callerOf(parent), request, installation.issuance), code('denied'));
  await installation.close();
});

onEachEngine('what is said of an instance for the first time is attested from then on', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { parent, parts, drifts, start } = await scene(installation);
  await entry(installation);
  const one = await start();
  const renew = async (runtime: object) =>
    renewWorkload(callerOf(parent), { csr: await newKey().csr(), instance: one.instance!, runtime }, parts);
  const before = (await installation.events()).length;
  await renew({ tools_sha256: TOOLS });
  await renew({ tools_sha256: TOOLS });
  const added = (await installation.events(before)).filter(({ type }) => type === 'evidence.added');
  assert.equal(added.length, 1);
  const evidence = (await readInstanceEvidence(installation.database, one.instance!))!;
  assert.deepEqual(evidence.facts['agent:tools_sha256'], [TOOLS]);
  assert.equal(added[0]?.body['evidence_sha256'], Buffer.from(evidence.digest).toString('hex'));
  await assert.rejects(renew({ tools_sha256: OTHER }), code('inactive'));
  assert.deepEqual(drifts, [[one.instance, ['agent:tools_sha256']]]);

  // Of two that say different things first, one is believed and the other has to come again.
  const other = await start({ reference: 'trip-2' });
  const said = [TOOLS, OTHER].map(async (tools_sha256) =>
    renewWorkload(
      callerOf(parent),
      { csr: await newKey().csr(), instance: other.instance!, runtime: { tools_sha256 } },
      parts,
    ),
  );
  const outcomes = await Promise.allSettled(said);
  assert.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 1);
  await installation.close();
});
