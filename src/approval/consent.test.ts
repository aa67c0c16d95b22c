/** Between consent and its use: what makes it void, and what it is for. */
import assert from 'node:assert/strict';
import { onEachEngine } from '../../test/engines.ts';
import { callerOf, createInstallation, letIn, newKey, register, SYSTEM } from '../../test/installation.ts';
import type { BoundRequest, Caller } from '../base/access.ts';
import { type ErrorCode, isWritError } from '../base/error.ts';
import { formatSerial } from '../ca/certificate/serial.ts';
import { newBatch } from '../db/batch.ts';
import { issueForInstance } from '../issuance/issue-for-instance.ts';
import { replaceCertificate } from '../issuance/replace.ts';
import { insertHold } from '../registry/hold.ts';
import { readOwner } from '../registry/owner.ts';
import { changeAgent } from '../registry/update.ts';
import { actingFor } from '../revocation/acting.ts';
import { removeOperator } from '../revocation/remove-operator.ts';
import { revokeCertificate } from '../revocation/revoke.ts';
import { consentOf } from './consent.ts';
import { withdrawApproval } from './end.ts';
import { requestApproval, type Wanted } from './request.ts';
import { showApproval, showApprovals } from './show.ts';
import {
  actingOf,
  ask,
  boundBy,
  decide,
  gone,
  member,
  officers,
  operator,
  partsOf,
  publish,
  restore,
  teamGone,
} from './testdata/people.ts';

const code = (wanted: ErrorCode, text?: RegExp) => (error: unknown) =>
  isWritError(error, wanted) && (text === undefined || text.test([error.message, ...error.reasons].join(' ')));

onEachEngine(
  'whoever leaves, is removed, or has a certificate revoked or quarantined before it is used has agreed to nothing',
  async ({ open }) => {
    const installation = await createInstallation(await open());
    const { ada, bob, grace, linus } = await officers(installation);
    await teamGone(installation);
    const { issuance } = installation;
    const dennis = await operator(installation, 'dennis');
    await member(installation, 'ca-officers', 'dennis');
    const leave = () => member(installation, 'ca-officers', 'grace', 'remove');
    const lose = () => revokeCertificate(SYSTEM, { serial: bob.serial!, cause: 'key_theft' }, issuance);
    const hold = async () => {
      const batch = newBatch();
      insertHold(batch, { kind: 'certificate', target: formatSerial(dennis.serial!), descend: false, stop: 'x' });
      await installation.commit(batch);
    };
    const go = () => removeOperator(SYSTEM, { operator: 'linus', cause: 'owner_withdrawn' }, issuance);
    for (const [one, other, meanwhile] of [
      [bob, dennis, hold],
      [bob, grace, leave],
      [bob, linus, lose],
    ] as const) {
      const approval = await ask(installation, ada);
      for (const caller of [one, other]) await decide(installation, caller, approval);
      await assert.rejects(restore(installation, ada, approval.id, { meanwhile }), code('needs_approval'));
      await assert.rejects(restore(installation, ada, approval.id), code('needs_approval'));
      await withdrawApproval(ada, approval.id, partsOf(installation));
    }
    const eve = await operator(installation, 'eve');
    await member(installation, 'ca-officers', 'eve');
    const last = await ask(installation, ada);
    for (const caller of [linus, eve]) await decide(installation, caller, last);
    await assert.rejects(restore(installation, ada, last.id, { meanwhile: go }), isWritError);
    await assert.rejects(restore(installation, ada, last.id), code('needs_approval'));
    assert.equal((await readOwner(installation.database, 'research'))?.status, 'gone');
  },
);

onEachEngine('a rule that asks for more, or for others, is the one that counts', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { ada, bob, grace, linus } = await officers(installation);
  await teamGone(installation);
  const approval = await ask(installation, ada);
  for (const one of [bob, grace]) await decide(installation, one, approval);
  const raise = () => publish(installation, (text) => text.replaceAll('2 of ca-officers', '3 of ca-officers'));
  await assert.rejects(restore(installation, ada, approval.id, { meanwhile: raise }), code('conflict'));
  await installation.policy.fresh();
  await assert.rejects(restore(installation, ada, approval.id), code('needs_approval', /fewer than 3/));
  await decide(installation, linus, approval);
  const others = () => publish(installation, (text) => text.replaceAll('2 of ca-officers', '1 of security'));
  await others();
  await installation.policy.fresh();
  await assert.rejects(restore(installation, ada, approval.id), code('needs_approval', /security/));
  await member(installation, 'security', 'bob');
  assert.equal((await restore(installation, ada, approval.id)).status, 'active');
});

onEachEngine('a repeat under the key of the act is answered, and acts no more', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { ada, bob, grace } = await officers(installation);
  await teamGone(installation);
  const approval = await ask(installation, ada);
  for (const one of [bob, grace]) await decide(installation, one, approval);
  await restore(installation, ada, approval.id);
  assert.equal((await restore(installation, ada, approval.id, { repeated: true })).status, 'active');
  await gone(installation);
  await assert.rejects(restore(installation, ada, approval.id, { repeated: true }), code('conflict'));
});

onEachEngine('an agent asks under a rule of its own, sees its own, and is bound to one request', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { bob, ada } = await officers(installation);
  await register(installation, 'planner');
  await publish(installation, (text) =>
    text.replace('@id("instances-renew")', '@id("instances-renew")\n@needs_approval("1 of ca-officers")'),
  );
  await installation.policy.fresh();
  const agent = callerOf(await letIn(installation, { agent: 'planner' }));
  const csr = await newKey().csr();
  const { issuance, database: reader, clock, random } = installation;
  const { certificates } = issuance;
  const replace = async (more: Partial<BoundRequest>) => {
    const bound = { parameters: '{"csr":"one"}', needs: () => {}, repeated: async () => false, ...more };
    const caller = { ...agent, bound };
    const consent = (who: Caller) => consentOf(who, { reader, clock, random, certificates, webhooks: [] });
    const acting = await actingFor(caller, { ...issuance, consent }, { policy: false });
    return replaceCertificate(caller, { csr }, { ...issuance, ...acting });
  };
  let wanted: Pick<Wanted, 'request' | 'verdict'> | undefined;
  const needs: BoundRequest['needs'] = (request, verdict) => {
    wanted = { request, verdict };
  };
  await assert.rejects(replace({ needs }), code('needs_approval'));
  const asked = { ...wanted!, parameters: '{"csr":"one"}', reason: 'the key is old' };
  const { id } = await requestApproval(agent, asked, partsOf(installation));
  await decide(installation, bob, { id });
  await assert.rejects(replace({ approval: id, parameters: '{"csr":"two"}' }), code('needs_approval'));
  const issued = await replace({ approval: id });
  const [replaced] = (await installation.events()).filter(({ type }) => type === 'certificate.replaced');
  assert.deepEqual([replaced?.body['approval'], replaced?.leaf], [id, issued.leaf], 'and its leaf is its own');
  await assert.rejects(replace({ approval: id }), isWritError);
  const own = await ask(installation, ada);
  const seen = (await showApprovals(agent, {}, {}, partsOf(installation))).items;
  assert.deepEqual(
    seen.map((one) => one.id),
    [id],
  );
  await assert.rejects(showApproval(agent, own.id, partsOf(installation)), code('not_found'));
  assert.equal((await showApprovals(bob, {}, {}, partsOf(installation))).items.length, 2);
});

onEachEngine('what is agreed to is what was shown: not what the same request comes to mean later', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { ada, bob, grace } = await officers(installation);
  const { issuance, registry } = installation;
  const { version } = await register(installation, 'db', 'service');
  assert.equal(version, 1);
  const { instance } = await letIn(installation, { agent: 'db' });
  await publish(installation, (text) =>
    text.replace('@id("operators-certify")', '@id("operators-certify")\n@needs_approval("2 of ca-officers")'),
  );
  await installation.policy.fresh();
  const parameters = '{"instance":"one"}';
  const csr = await newKey().csr();
  let wanted: Pick<Wanted, 'request' | 'verdict'> | undefined;
  const issue = async (approval?: string) => {
    const needs: BoundRequest['needs'] = (request, verdict) => {
      wanted = { request, verdict };
    };
    const bound = { ...boundBy(ada, parameters, approval).bound, needs };
    const caller = { ...ada, bound };
    return issueForInstance(
      caller,
      { instance: instance!, csr },
      { ...issuance, ...(await actingOf(installation, caller)) },
    );
  };
  await assert.rejects(issue(), code('needs_approval'));
  const { id } = await requestApproval(ada, { ...wanted!, parameters, reason: 'lost' }, partsOf(installation));
  for (const one of [bob, grace]) await decide(installation, one, { id });
  const named = (dns: readonly string[]) =>
    changeAgent(ada, { name: 'db', change: { dnsNames: dns } }, { ...registry, namesFit: async () => true });
  await named(['payments.agents.example.com']);
  await issuance.refresh();
  await assert.rejects(issue(id), code('needs_approval', /has changed since.*dnsNames/));
  await named([]);
  await issuance.refresh();
  assert.equal((await issue(id)).name, 'db');
});

onEachEngine('one consent that is void leaves the others', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { ada, bob, grace, linus } = await officers(installation);
  await teamGone(installation);
  const approval = await ask(installation, ada);
  for (const one of [bob, grace, linus]) await decide(installation, one, approval);
  const batch = newBatch();
  insertHold(batch, { kind: 'certificate', target: formatSerial(linus.serial!), descend: false, stop: 'x' });
  await installation.commit(batch);
  assert.equal((await restore(installation, ada, approval.id)).status, 'active');
  const used = (await installation.events()).find(({ type }) => type === 'approval.used');
  assert.deepEqual(used?.body['people'], ['bob', 'grace']);
});

onEachEngine('whoever leaves a group does nothing more by it, not even what is on its way', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { ada } = await officers(installation);
  const { registry, policy } = installation;
  await register(installation, 'planner');
  await policy.fresh();
  const acting = await actingFor(ada, installation.issuance, { policy: true });
  const leave = () => member(installation, 'ca-officers', 'ada', 'remove');
  let first = true;
  const commit: typeof acting.commit = async (batch) => {
    if (first) await leave();
    first = false;
    return acting.commit(batch);
  };
  const change = { owner: { team: 'sales', sponsor: 'sam@example.com' } };
  const taking = changeAgent(ada, { name: 'planner', change }, { ...registry, ...acting, commit });
  await assert.rejects(taking, code('conflict', /left the group ca-officers/));
});
