/** Ways around who may stop what (docs/REVOCATION.md): none of them leads to a stop that policy would refuse. */
import assert from 'node:assert/strict';
import { onEachEngine } from '../../test/engines.ts';
import {
  ADA,
  callerOf,
  childOf,
  createInstallation,
  type Installation,
  letIn,
  newKey,
  register,
} from '../../test/installation.ts';
import type { Caller } from '../base/access.ts';
import { type ErrorCode, isWritError } from '../base/error.ts';
import { issueForInstance } from '../issuance/issue-for-instance.ts';
import { replaceCertificate } from '../issuance/replace.ts';
import { readAgent } from '../registry/agent-store.ts';
import { STOPS_A_MINUTE } from '../registry/stop-rate.ts';
import { changeAgent } from '../registry/update.ts';
import { confirmStop } from './confirm-stop.ts';
import type { CordParts } from './parts.ts';
import { quarantine } from './quarantine.ts';
import { stopForEver } from './stop.ts';
import { wouldFall } from './would-fall.ts';

/** An operator in no group. */
const PAUL: Caller = { kind: 'operator', id: 'spiffe://agents.example.com/operator/paul', operator: 'paul' };
const BOB: Caller = { kind: 'operator', id: 'spiffe://agents.example.com/operator/bob', operator: 'bob' };

const code = (wanted: ErrorCode) => (error: unknown) => isWritError(error, wanted);
const cordOf = ({ issuance, random }: Installation, massStop = 100): CordParts => ({ ...issuance, random, massStop });

onEachEngine('a label that is held is given by those alone who may hold the agent', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { registry, database } = installation;
  await register(installation, 'planner');
  const cause = 'policy_change';
  await quarantine(ADA, { target: { kind: 'label', name: 'tier=gold' }, cause }, cordOf(installation));
  const label = (caller: Caller, tier: string) =>
    changeAgent(caller, { name: 'planner', change: { labels: { tier } } }, registry);
  await label(PAUL, 'silver');
  await assert.rejects(label(PAUL, 'gold'), code('denied'));
  assert.equal((await readAgent(database, 'planner'))?.status, 'active');
  await label(BOB, 'gold');
  assert.equal((await readAgent(database, 'planner'))?.status, 'quarantined');
  await installation.close();
});

onEachEngine('who may not stop an instance neither replaces its certificate nor gets one of it', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { issuance } = installation;
  await register(installation, 'planner');
  const { serial, instance } = await letIn(installation, { agent: 'planner' });
  const replace = async (caller: Caller) => replaceCertificate(caller, { serial, csr: await newKey().csr() }, issuance);
  await assert.rejects(replace(PAUL), code('denied'));
  // As the instance itself they could stop it.
  const issue = async (caller: Caller) =>
    issueForInstance(caller, { instance: instance!, csr: await newKey().csr() }, issuance);
  await assert.rejects(issue(PAUL), code('denied'));
  await issue(BOB);
  await replace(BOB);
  await installation.close();
});

onEachEngine('a stop that waits for another person does not come to be one person’s by waiting', async ({ open }) => {
  const installation = await createInstallation(await open());
  const parts = cordOf(installation, 2);
  await register(installation, 'planner');
  for (let i = 0; i < 3; i++) await letIn(installation, { agent: 'planner' });
  const request = { target: { kind: 'agent', name: 'planner' }, cause: 'policy_change' } as const;
  const stop = await stopForEver(ADA, request, parts);
  assert.equal(stop.state, 'quarantined');
  // Nothing that is held renews.
  installation.advance(2 * 3_600_000);
  await installation.issuance.refresh();
  assert.equal((await stopForEver(ADA, request, parts)).state, 'quarantined');
  assert.ok((await wouldFall(ADA, { ...request, mode: 'revocation' }, parts)).needsSecond);
  assert.equal((await confirmStop(BOB, stop.id, parts)).state, 'revoked');
  await installation.close();
});

onEachEngine('what an instance asked for takes two people as well', async ({ open }) => {
  const installation = await createInstallation(await open());
  const parts = cordOf(installation, 1);
  await register(installation, 'planner');
  const parent = await letIn(installation, { agent: 'planner' });
  for (let i = 0; i < 2; i++) await childOf(installation, parent);
  const target = { kind: 'parent', name: parent.instance! } as const;
  const stop = await stopForEver(callerOf(parent), { target, cause: 'task_completed' }, parts);
  assert.deepEqual([stop.state, stop.revocationBy], ['quarantined', callerOf(parent).id]);
  const asked = await confirmStop(ADA, stop.id, parts);
  assert.deepEqual([asked.state, asked.revocationBy], ['quarantined', ADA.id], 'she may have a certificate of it');
  await assert.rejects(confirmStop(ADA, stop.id, parts), code('denied'));
  assert.equal((await confirmStop(BOB, stop.id, parts)).state, 'revoked');
  await installation.close();
});

onEachEngine('whoever stops much at once stops no more than whoever does it one after another', async ({ open }) => {
  const installation = await createInstallation(await open());
  const parts = cordOf(installation);
  await register(installation, 'planner');
  const pulled = await Promise.allSettled(
    Array.from({ length: STOPS_A_MINUTE + 20 }, (_, i) =>
      quarantine(ADA, { target: { kind: 'label', name: `n=${i}` }, cause: 'policy_change' }, parts),
    ),
  );
  const refused = pulled.filter((one) => one.status === 'rejected');
  assert.equal(refused.length, 20);
  for (const { reason } of refused) assert.ok(isWritError(reason, 'rate_limited'));
  await installation.close();
});
