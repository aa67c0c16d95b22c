/** The passphrase on the server's machine goes around nobody, and nobody is locked out for ever. */
import assert from 'node:assert/strict';
import { onEachEngine } from '../../test/engines.ts';
import { createInstallation, type Installation, newKey, register } from '../../test/installation.ts';
import type { Caller } from '../base/access.ts';
import { demand } from '../base/demand.ts';
import { type ErrorCode, isWritError } from '../base/error.ts';
import { issueOperatorCertificate } from '../issuance/operator.ts';
import { canonicalJson } from '../merkle/canonical-json.ts';
import { countEmergencies } from '../registry/emergency.ts';
import { changeGroup, type Group, isMember } from '../registry/group.ts';
import { revokeCertificate } from '../revocation/revoke.ts';
import type { Name } from '../spiffe-id/name.ts';
import { type Approval, RECOVERY } from './approval.ts';
import { reviewEmergency, showEmergencies } from './break-glass.ts';
import { requestApproval } from './request.ts';
import { readApproval } from './store.ts';
import { actingOf, boundBy, decide, member, officers, operator, partsOf, publish } from './testdata/people.ts';

const code = (wanted: ErrorCode, text?: RegExp) => (error: unknown) =>
  isWritError(error, wanted) && (text === undefined || text.test([error.message, ...error.reasons].join(' ')));

const ADMINISTRATOR: Caller = { kind: 'system', id: 'system:administrator' };
const HOUR_MS = 3_600_000;

const parametersOf = (person: string): string =>
  canonicalJson({ method: 'COMMAND', path: 'group add', params: {}, query: {}, body: { group: 'sre', person } });

/** As `writ group add sre PERSON` on the server's machine. */
async function add(installation: Installation, person: string, approval?: string): Promise<Group> {
  const { database: reader, clock, policy } = installation;
  await policy.fresh();
  const bound = boundBy(ADMINISTRATOR, parametersOf(person), approval);
  const acting = await actingOf(installation, bound);
  return changeGroup(bound, { group: 'sre', person, change: 'add' }, { reader, clock, ...acting });
}

async function ask(
  installation: Installation,
  person: string,
  how: { recover?: boolean; lifetime?: number } = {},
): Promise<Approval> {
  const { policy } = installation;
  await policy.fresh();
  const resource = { type: 'Group', id: 'sre' } as const;
  const request = { caller: ADMINISTRATOR, action: 'group.change', resource } as const;
  const verdict = policy.authorize(request);
  if (verdict.allowed) throw new Error('allowed without');
  const wanted = { request, verdict, parameters: parametersOf(person), reason: 'needed', ...how };
  return requestApproval(ADMINISTRATOR, wanted, partsOf(installation));
}

onEachEngine('one person acts alone, and the ledger says so; from the second on both agree', async ({ open }) => {
  const installation = await createInstallation(await open());
  const ada = await operator(installation, 'ada');
  await operator(installation, 'ada-laptop', 'ada');
  const since = (await installation.events()).length;
  await add(installation, 'ada');
  const [alone] = (await installation.events(since)).filter(({ type }) => type === 'group.changed');
  assert.deepEqual(alone?.body['authority'], ['administrator.alone']);

  const bob = await operator(installation, 'bob');
  await assert.rejects(add(installation, 'bob'), code('needs_approval', /2 people run.*2 of all-operators/));
  const approval = await ask(installation, 'bob');
  await assert.rejects(add(installation, 'bob', approval.id), code('needs_approval', /0 of 2/));
  await decide(installation, ada, approval);
  await assert.rejects(
    add(installation, 'bob', approval.id),
    code('needs_approval', /1 of 2/),
    'whoever asks may be Ada',
  );
  await decide(installation, bob, approval);
  await assert.rejects(add(installation, 'ada', approval.id), code('needs_approval'), 'for nothing else');
  await add(installation, 'bob', approval.id);
  assert.ok(await isMember(installation.database, 'sre', 'bob'));
  const [, changed] = (await installation.events(since)).filter(({ type }) => type === 'group.changed');
  assert.equal(changed?.body['approval'], approval.id);
  await assert.rejects(add(installation, 'bob', approval.id), code('needs_approval', /holds once/));
});

onEachEngine(
  'officers are asked once there are two of them; what a set demands beyond that is kept',
  async ({ open }) => {
    const installation = await createInstallation(await open());
    await officers(installation);
    assert.deepEqual(
      [(await ask(installation, 'bob')).needed, (await ask(installation, 'bob')).group],
      [2, 'ca-officers'],
    );
    await publish(installation, (text) => text.replaceAll('"2 of ca-officers"', '"3 of ca-officers"'));
    assert.equal((await ask(installation, 'bob')).needed, 3);
    // Nobody is in that group, so it cannot be what locks an installation out.
    await publish(installation, (text) => text.replaceAll('"2 of ca-officers"', '"2 of nobody"'));
    assert.deepEqual(
      [(await ask(installation, 'bob')).needed, (await ask(installation, 'bob')).group],
      [2, 'all-operators'],
    );
    const forbids = '@id("x") @description("x") forbid (principal, action == Action::"group.change", resource);';
    await publish(installation, (text) => `${text}\n${forbids}`);
    assert.equal((await ask(installation, 'bob')).group, 'ca-officers', 'a set that locks everybody out is replaced');
  },
);

onEachEngine('a second credential of the same person, and one that has expired, is nobody else', async ({ open }) => {
  const installation = await createInstallation(await open());
  await operator(installation, 'ada');
  await operator(installation, 'bob');
  await assert.rejects(add(installation, 'ada'), code('needs_approval'));
  // Nobody has renewed for a month: there is nobody left who could agree.
  installation.advance(31 * 24 * HOUR_MS);
  await member(installation, 'on-call', 'ada');
  await add(installation, 'ada');
});

onEachEngine('whose operators are lost comes back after three days, loudly', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { database, clock } = installation;
  const { ada, bob } = await officers(installation);
  const eve = await operator(installation, 'eve');
  const since = (await installation.events()).length;
  const approval = await ask(installation, 'eve', { recover: true });
  assert.equal(approval.recoversAt, clock.now() + RECOVERY.waits * 1000);
  installation.advance(RECOVERY.waits * 1000 - 1);
  await assert.rejects(add(installation, 'eve', approval.id), code('needs_approval', /0 of 2/), 'a millisecond early');
  installation.advance(1);
  await add(installation, 'eve', approval.id);
  assert.equal((await readApproval(database, approval.id, clock.now()))?.status, 'used');
  await assert.rejects(add(installation, 'eve', approval.id), code('needs_approval', /holds once/));

  const events = await installation.events(since);
  const requested = events.find(({ type }) => type === 'approval.requested');
  assert.equal(requested?.body['recovers_at'], new Date(approval.recoversAt!).toISOString());
  assert.equal(events.find(({ type }) => type === 'approval.used')?.body['recovered'], true);
  assert.deepEqual(await countEmergencies(database, clock.now()), { inForce: 0, unreviewed: 1 });
  const [review] = (await showEmergencies(ada, { open: true }, {}, partsOf(installation))).items;
  assert.deepEqual([review?.kind, review?.person], ['recovery', 'eve']);
  const note = { id: review!.id, note: 'we know her' };
  await assert.rejects(reviewEmergency(eve, note, partsOf(installation)), code('denied'));
  await reviewEmergency(bob, note, partsOf(installation));
});

onEachEngine('any operator stops that, until it is used; it is for coming back alone', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { bob } = await officers(installation);
  const paul = await operator(installation, 'paul');
  const first = await ask(installation, 'paul', { recover: true });
  await assert.rejects(decide(installation, paul, first), code('denied'), 'he agrees for nobody');
  installation.advance(RECOVERY.waits * 1000);
  await decide(installation, paul, first, 'denied');
  await assert.rejects(add(installation, 'paul', first.id), code('needs_approval', /denied/));

  const second = await ask(installation, 'paul', { recover: true });
  installation.advance((RECOVERY.waits + RECOVERY.stands) * 1000);
  await assert.rejects(add(installation, 'paul', second.id), code('needs_approval', /expired/), 'not for ever');

  for (const lifetime of [60, RECOVERY.waits]) {
    await assert.rejects(ask(installation, 'paul', { recover: true, lifetime }), code('bad_request'));
  }
  await register(installation, 'planner');
  const resource = { type: 'Installation', id: 'writ' } as const;
  for (const [caller, action] of [
    [ADMINISTRATOR, 'policy.publish'],
    [bob, 'policy.publish'],
  ] as const) {
    const request = { caller, action, resource } as const;
    const verdict = installation.policy.authorize(request);
    assert.ok(!verdict.allowed);
    const wanted = { request, verdict, parameters: '{}', reason: 'x', recover: true };
    await assert.rejects(requestApproval(caller, wanted, partsOf(installation)), code('bad_request'));
  }
});

onEachEngine('who comes back by a new credential does not review that with another', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { clock, issuance, policy } = installation;
  const { ada, bob } = await officers(installation);
  const laptop = await operator(installation, 'ada-laptop', 'ada');
  const body = { name: 'ada-laptop', person: 'zoe', program: false, replace: true };
  const parameters = canonicalJson({ method: 'COMMAND', path: 'operator add', params: {}, query: {}, body });
  const request = {
    caller: ADMINISTRATOR,
    action: 'operator.add',
    resource: { type: 'Operator', id: 'ada-laptop' },
  } as const;
  await policy.fresh();
  const verdict = policy.authorize(request);
  if (verdict.allowed) throw new Error('allowed without');
  const wanted = { request, verdict, parameters, reason: 'stolen', recover: true };
  const { id } = await requestApproval(ADMINISTRATOR, wanted, partsOf(installation));
  installation.advance(RECOVERY.waits * 1000);
  const bound = boundBy(ADMINISTRATOR, parameters, id);
  const acting = await actingOf(installation, bound);
  demand(acting.authorize, { ...request, caller: bound });
  const again = { operator: 'ada-laptop' as Name, csr: await newKey().csr() };
  await issuance.refresh();
  await issueOperatorCertificate(ADMINISTRATOR, again, { ...issuance, commit: acting.commit });
  const [review] = (await showEmergencies(bob, { open: true }, {}, partsOf(installation))).items;
  assert.deepEqual([review?.operator, review?.person], ['ada-laptop', 'ada']);
  const note = { id: review!.id, note: 'it was me' };
  for (const own of [ada, laptop]) {
    await assert.rejects(reviewEmergency(own, note, partsOf(installation)), code('denied'));
  }
  await reviewEmergency(bob, note, partsOf(installation));
  assert.deepEqual(await countEmergencies(installation.database, clock.now()), { inForce: 0, unreviewed: 0 });
});

onEachEngine('whoever stops the other is not alone by that, and is blocked by nobody for ever', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { database, issuance } = installation;
  await operator(installation, 'ada');
  const bob = await operator(installation, 'bob');
  const ada = { kind: 'operator', id: 'spiffe://agents.example.com/operator/ada', operator: 'ada' } as const;
  const first = await ask(installation, 'ada', { recover: true });
  await decide(installation, bob, first, 'denied');
  const parts = { ...issuance, reader: database, refresh: () => installation.policy.fresh() };
  await revokeCertificate(ada, { serial: bob.serial!, cause: 'owner_withdrawn' }, parts);
  await assert.rejects(add(installation, 'ada'), code('needs_approval'), 'Bob counts still');
  const second = await ask(installation, 'ada', { recover: true });
  await assert.rejects(decide(installation, bob, second, 'denied'), (error) => isWritError(error, 'revoked'));
  installation.advance(RECOVERY.waits * 1000);
  await add(installation, 'ada', second.id);
});
