import assert from 'node:assert/strict';
import { onEachEngine } from '../../test/engines.ts';
import { callerOf, createInstallation, type Installation, letIn, register } from '../../test/installation.ts';
import type { Caller } from '../base/access.ts';
import { type ErrorCode, isWritError } from '../base/error.ts';
import { silentLog } from '../base/log.ts';
import { newBatch } from '../db/batch.ts';
import { canonicalJson } from '../merkle/canonical-json.ts';
import { createGuard } from '../policy/guard.ts';
import { Policy } from '../policy/policy.ts';
import {
  countEmergencies,
  type Emergency,
  pushEmergencyPurge,
  readEmergency,
  readEmergencyAccess,
} from '../registry/emergency.ts';
import { readGroupsOfOperators } from '../registry/group.ts';
import { changeOwner } from '../registry/owners.ts';
import type { Approval } from './approval.ts';
import {
  beginBreakGlass,
  endBreakGlass,
  recordEndedBreakGlass,
  reviewEmergency,
  showEmergencies,
} from './break-glass.ts';
import { requestApproval } from './request.ts';
import { actingOf, boundBy, decide, gone, officers, operator, partsOf } from './testdata/people.ts';

const code = (wanted: ErrorCode, text?: RegExp) => (error: unknown) =>
  isWritError(error, wanted) && (text === undefined || text.test([error.message, ...error.reasons].join(' ')));

const PURPOSE = 'the gateway is held by mistake';
const MINUTE = 60_000;

const parametersOf = (seconds: number): string =>
  canonicalJson({
    method: 'POST',
    path: '/v1/emergencies',
    params: {},
    query: {},
    body: { purpose: PURPOSE, seconds },
  });

async function ask(installation: Installation, caller: Caller, seconds = 1800): Promise<Approval> {
  await installation.policy.fresh();
  const resource = { type: 'Installation', id: 'writ' } as const;
  const request = { caller, action: 'emergency.begin', resource, context: { lifetimeSeconds: seconds } } as const;
  const verdict = installation.policy.authorize(request);
  if (verdict.allowed) throw new Error('allowed without');
  const wanted = { request, verdict, parameters: parametersOf(seconds), reason: PURPOSE };
  return requestApproval(caller, wanted, partsOf(installation));
}

async function begin(
  installation: Installation,
  caller: Caller,
  approval?: string,
  seconds = 1800,
  webhooks: readonly string[] = [],
): Promise<Emergency> {
  const bound = boundBy(caller, parametersOf(seconds), approval);
  const parts = { ...partsOf(installation, webhooks), ...(await actingOf(installation, bound)) };
  const emergency = await beginBreakGlass(bound, { purpose: PURPOSE, seconds }, parts);
  await installation.policy.fresh();
  return emergency;
}

/** Bea, who is no officer, has emergency access that Bob and Grace granted. */
async function granted(installation: Installation, seconds = 1800) {
  const people = await officers(installation);
  const bea = await operator(installation, 'bea');
  const approval = await ask(installation, bea, seconds);
  for (const one of [people.bob, people.grace]) await decide(installation, one, approval);
  return { ...people, bea, approval };
}

/** Brings a team back, as what takes officers. */
async function restore(installation: Installation, caller: Caller): Promise<string> {
  const { registry } = installation;
  await installation.policy.fresh();
  const acting = await actingOf(installation, caller);
  return (await changeOwner(caller, { team: 'research', status: 'active' }, { ...registry, ...acting })).status;
}

onEachEngine(
  'two others grant it, it is used, it ends to the millisecond, and another reviews it',
  async ({ open }) => {
    const installation = await createInstallation(await open());
    const { database, clock } = installation;
    const { ada, bob, bea, approval } = await granted(installation, 900);
    await register(installation, 'planner');
    await gone(installation);
    await assert.rejects(restore(installation, bea), code('needs_approval'), 'not before');
    const since = (await installation.events()).length;
    const emergency = await begin(installation, bea, approval.id, 900, ['https://hooks.example.com']);
    assert.deepEqual(
      [emergency.operator, emergency.people, emergency.endsAt - emergency.beganAt],
      ['bea', ['bob', 'grace'], 900_000],
    );
    const told = await database.all("SELECT body FROM webhook_delivery WHERE body LIKE '%emergency.begun%'");
    assert.equal(told.length, 1);
    assert.ok(!String(told[0]!['body']).includes(PURPOSE), 'the purpose is for whoever looks with a certificate');
    assert.equal(await restore(installation, bea), 'active');
    await assert.rejects(
      restore(installation, await operator(installation, 'paul')),
      code('needs_approval'),
      'for her alone',
    );
    await assert.rejects(
      reviewEmergency(bob, { id: emergency.id, note: 'x' }, partsOf(installation)),
      code('inactive'),
    );

    await gone(installation);
    installation.advance(900_000 - 1);
    assert.equal(await restore(installation, bea), 'active', 'a millisecond before');
    await gone(installation);
    installation.advance(1);
    await assert.rejects(restore(installation, bea), code('needs_approval'), 'at its end');
    assert.deepEqual(await countEmergencies(database, clock.now()), { inForce: 0, unreviewed: 1 });
    assert.equal(await recordEndedBreakGlass(partsOf(installation)), 1);
    assert.equal(await recordEndedBreakGlass(partsOf(installation)), 0);

    const beaToo = await operator(installation, 'bea-too', 'bea');
    for (const one of [bea, beaToo]) {
      const own = reviewEmergency(one, { id: emergency.id, note: 'fine' }, partsOf(installation));
      await assert.rejects(own, code('denied'), 'not by whom it was about, by whichever credential');
    }
    const open_ = await showEmergencies(ada, { open: true }, {}, partsOf(installation));
    assert.deepEqual(
      open_.items.map(({ id }) => id),
      [emergency.id],
    );
    // The clock itself stays: the log may be cosigned at any moment, and its time never goes back.
    const purge = newBatch();
    pushEmergencyPurge(purge, clock.now() + 500 * 86_400_000, 10);
    assert.ok(!(await installation.commit(purge)).committed, 'what nobody looked at stays, however long');
    const note = 'brought research back, nothing else';
    const reviewed = await reviewEmergency(bob, { id: emergency.id, note }, partsOf(installation));
    assert.deepEqual([reviewed.reviewedBy, reviewed.note], ['bob', note]);
    await assert.rejects(reviewEmergency(ada, { id: emergency.id, note }, partsOf(installation)), code('conflict'));
    assert.deepEqual(await countEmergencies(database, clock.now()), { inForce: 0, unreviewed: 0 });

    const events = await installation.events(since);
    assert.deepEqual(
      events.filter(({ subjects }) => subjects.includes(`emergency:${emergency.id}`)).map(({ type }) => type),
      ['emergency.begun', 'emergency.ended', 'emergency.reviewed'],
    );
    const done = events.filter(({ type, body }) => type === 'owner.updated' && body['emergency'] === emergency.id);
    assert.equal(done.length, 2, 'each act names it');
    assert.ok(!JSON.stringify(events).includes(PURPOSE) && !JSON.stringify(events).includes(note));
  },
);

onEachEngine('nobody grants it to themselves, and no agent to anybody', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { ada, bob, grace, graceToo } = await officers(installation);
  const adaToo = await operator(installation, 'ada-too', 'ada');
  await register(installation, 'planner');
  const agent = callerOf(await letIn(installation, { agent: 'planner' }));
  const approval = await ask(installation, ada);
  for (const one of [ada, adaToo, agent]) await assert.rejects(decide(installation, one, approval), code('denied'));
  await decide(installation, grace, approval);
  await decide(installation, graceToo, approval);
  await assert.rejects(begin(installation, ada, approval.id), code('needs_approval', /1 of 2/), 'Grace counts once');
  await decide(installation, bob, approval);
  for (const one of [bob, adaToo, agent]) {
    await assert.rejects(
      begin(installation, one, approval.id),
      (error) => isWritError(error) && error.code !== 'internal',
    );
  }
  await assert.rejects(begin(installation, ada, approval.id, 1700), code('needs_approval'), 'for what was agreed to');
  await assert.rejects(begin(installation, ada, undefined), code('needs_approval'));
  await begin(installation, ada, approval.id);
  await assert.rejects(begin(installation, ada, approval.id), code('needs_approval', /holds once/));
});

onEachEngine('it is never made longer: not by the person, not by another credential of theirs', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { bea, bob, grace, approval } = await granted(installation);
  const beaToo = await operator(installation, 'bea-too', 'bea');
  const [again, other] = [await ask(installation, bea, 900), await ask(installation, beaToo)];
  for (const one of [again, other]) for (const who of [bob, grace]) await decide(installation, who, one);
  await begin(installation, bea, approval.id);
  await assert.rejects(begin(installation, bea, again.id, 900), code('conflict', /cannot be made longer/));
  await assert.rejects(begin(installation, beaToo, other.id), code('conflict', /cannot be made longer/));
});

onEachEngine(
  'whoever has it or an officer ends it before its time; what is on its way is discarded',
  async ({ open }) => {
    const installation = await createInstallation(await open());
    const { ada, bea, approval } = await granted(installation);
    await register(installation, 'planner');
    await gone(installation);
    const emergency = await begin(installation, bea, approval.id);
    const paul = await operator(installation, 'paul');
    await installation.policy.fresh();
    await assert.rejects(endBreakGlass(paul, emergency.id, partsOf(installation)), code('denied'));
    const acting = await actingOf(installation, bea);
    const end = () => endBreakGlass(ada, emergency.id, partsOf(installation));
    let first = true;
    const commit: typeof acting.commit = async (batch) => {
      if (first) await end();
      first = false;
      return acting.commit(batch);
    };
    const restoring = changeOwner(
      bea,
      { team: 'research', status: 'active' },
      { ...installation.registry, ...acting, commit },
    );
    await assert.rejects(restoring, code('denied', /over/), 'it was decided before the end and commits after it');
    await assert.rejects(restore(installation, bea), code('needs_approval'));
    assert.equal(
      (await end()).endedAt,
      (await readEmergency(installation.database, emergency.id))?.endedAt,
      'said twice',
    );
  },
);

onEachEngine('what is decided just before its time and committed after it is discarded', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { bea, approval } = await granted(installation, 60);
  await register(installation, 'planner');
  await gone(installation);
  await begin(installation, bea, approval.id, 60);
  installation.advance(MINUTE - 1);
  await installation.policy.fresh();
  const acting = await actingOf(installation, bea);
  const authorize: typeof acting.authorize = (request) => {
    const verdict = acting.authorize(request);
    installation.advance(1);
    return verdict;
  };
  const late = changeOwner(
    bea,
    { team: 'research', status: 'active' },
    { ...installation.registry, ...acting, authorize },
  );
  await assert.rejects(late, code('denied', /over/));
});

onEachEngine('a restart in between neither ends it nor makes it longer', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { database, epoch, clock } = installation;
  const { bea, approval } = await granted(installation);
  await begin(installation, bea, approval.id);
  const restarted = new Policy({
    ...{ reader: database, epoch, clock, log: silentLog },
    guard: createGuard({ trustDomain: 'agents.example.com', dnsSubtrees: [], ipRanges: [] }),
    groups: () => readGroupsOfOperators(database),
    emergencies: () => readEmergencyAccess(database, clock.now()),
  });
  await restarted.fresh();
  const rotate = { caller: bea, action: 'authority.rotate', resource: { type: 'Installation', id: 'writ' } } as const;
  const publish = { ...rotate, action: 'policy.publish' } as const;
  assert.ok(restarted.authorize(rotate).allowed);
  assert.ok(!restarted.authorize(publish).allowed, 'rules outlast it');
  installation.advance(30 * MINUTE);
  assert.ok(!restarted.authorize(rotate).allowed);
  restarted.close();
});
