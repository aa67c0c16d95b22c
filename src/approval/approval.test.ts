import assert from 'node:assert/strict';
import { onEachEngine } from '../../test/engines.ts';
import { callerOf, createInstallation, letIn, register } from '../../test/installation.ts';
import { type ErrorCode, isWritError } from '../base/error.ts';
import { readOwner } from '../registry/owner.ts';
import { expireApprovals, withdrawApproval } from './end.ts';
import { showApproval } from './show.ts';
import { readApproval } from './store.ts';
import {
  ask,
  decide,
  gone,
  member,
  officers,
  operator,
  parametersOf,
  partsOf,
  restore,
  teamGone,
} from './testdata/people.ts';

const code = (wanted: ErrorCode, text?: RegExp) => (error: unknown) =>
  isWritError(error, wanted) && (text === undefined || text.test([error.message, ...error.reasons].join(' ')));

onEachEngine('two of the group agree, and the very request succeeds once', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { ada, bob, grace } = await officers(installation);
  await register(installation, 'planner');
  await gone(installation);
  const since = (await installation.events()).length;

  await assert.rejects(restore(installation, ada, undefined), code('needs_approval'));
  const approval = await ask(installation, ada);
  assert.equal((await ask(installation, ada)).id, approval.id, 'asking again is the same request');
  await assert.rejects(restore(installation, ada, approval.id), code('needs_approval', /0 of 2 consents/));
  assert.equal((await decide(installation, bob, approval)).status, 'pending');
  await assert.rejects(restore(installation, ada, approval.id), code('needs_approval', /1 of 2 consents/));
  assert.equal((await decide(installation, grace, approval)).status, 'granted');

  for (const [caller, how] of [
    [bob, {}],
    [ada, { team: 'sales' }],
    [ada, { parameters: parametersOf('sales') }],
  ] as const) {
    await assert.rejects(restore(installation, caller, approval.id, how), code('needs_approval'));
  }
  assert.equal((await restore(installation, ada, approval.id)).status, 'active');
  await gone(installation);
  await assert.rejects(restore(installation, ada, approval.id), code('needs_approval', /holds once/));
  assert.equal((await readOwner(installation.database, 'research'))?.status, 'gone');

  const events = (await installation.events(since)).filter(({ body }) => body['approval'] === approval.id);
  assert.deepEqual(
    events.map(({ type }) => type),
    [
      'approval.requested',
      'approval.decided',
      'approval.decided',
      'approval.granted',
      'owner.updated',
      'approval.used',
    ],
    'and the act itself names it',
  );
  const text = JSON.stringify(events);
  assert.ok(
    !text.includes('they are back') && !text.includes('/v1/owners'),
    'words and parameters stay out of the ledger',
  );
});

onEachEngine('who asked, agents and others do not decide; a person counts once', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { ada, grace, graceToo, bob } = await officers(installation);
  await register(installation, 'planner');
  const agent = callerOf(await letIn(installation, { agent: 'planner' }));
  const adaToo = await operator(installation, 'ada-laptop', 'ada');
  const mallory = await operator(installation, 'mallory');
  const program = await operator(installation, 'prometheus', undefined, true);
  const approval = await ask(installation, ada);
  for (const caller of [ada, adaToo, mallory, agent, program]) {
    await assert.rejects(decide(installation, caller, approval), code('denied'), caller.id);
  }
  await decide(installation, grace, approval);
  const twice = await decide(installation, graceToo, approval);
  assert.deepEqual([twice.status, twice.decisions.length], ['pending', 1]);
  await Promise.all([decide(installation, grace, approval), decide(installation, graceToo, approval)]);
  assert.equal((await readApproval(installation.database, approval.id, installation.clock.now()))?.status, 'pending');
  assert.equal((await decide(installation, bob, approval)).status, 'granted');
});

onEachEngine('two who agree at once grant it together, and it is granted once', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { ada, bob, grace, linus } = await officers(installation);
  await teamGone(installation);
  const approval = await ask(installation, ada);
  await Promise.all([bob, grace, linus].map((one) => decide(installation, one, approval)));
  const after = await readApproval(installation.database, approval.id, installation.clock.now());
  assert.deepEqual([after?.status, after?.decisions.length], ['granted', 3]);
  const granted = (await installation.events()).filter(({ type }) => type === 'approval.granted');
  assert.equal(granted.length, 1);
  // Neither finds done what the other does.
  const ready = Promise.withResolvers<void>();
  let waiting = 0;
  const meanwhile = async (): Promise<void> => {
    waiting += 1;
    if (waiting === 2) ready.resolve();
    await ready.promise;
  };
  const both = await Promise.allSettled([
    restore(installation, ada, approval.id, { meanwhile }),
    restore(installation, ada, approval.id, { meanwhile }),
  ]);
  assert.equal(both.filter(({ status }) => status === 'fulfilled').length, 1, 'and used once');
  assert.equal((await installation.events()).filter(({ type }) => type === 'approval.used').length, 1);
});

onEachEngine('what too few people could grant is refused when it is asked for', async ({ open }) => {
  const installation = await createInstallation(await open());
  const ada = await operator(installation, 'ada');
  await operator(installation, 'bob');
  await operator(installation, 'bob-laptop', 'bob');
  await operator(installation, 'scraper', undefined, true);
  await teamGone(installation);
  await installation.policy.fresh();
  const since = (await installation.events()).length;
  const there = (how: RegExp) => (error: unknown) =>
    isWritError(error, 'needs_approval') &&
    how.test(error.message) &&
    /writ group add ca-officers NAME.*--here/.test(error.remedy!);
  await assert.rejects(ask(installation, ada), there(/needs 2 of ca-officers to agree, and there are none beside/));
  await member(installation, 'ca-officers', 'bob');
  await assert.rejects(ask(installation, ada), there(/and there is 1 beside whoever asks\.$/), 'a person counts once');
  const grace = await operator(installation, 'grace');
  await installation.policy.fresh();
  assert.equal((await ask(installation, grace)).status, 'pending', 'for whoever is no officer there are two');
  await member(installation, 'ca-officers', 'grace');
  assert.equal((await ask(installation, ada)).status, 'pending', 'two others');
  const requested = (await installation.events(since)).filter(({ type }) => type === 'approval.requested');
  assert.equal(requested.length, 2, 'nothing is on record of what was refused');
  // Whose certificate has expired could say nothing.
  installation.advance(31 * 86_400_000);
  await installation.policy.fresh();
  await assert.rejects(ask(installation, ada), there(/and there are none beside whoever asks\.$/));
});

onEachEngine('a denial ends it, before and after it is granted; so does who asked', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { ada, bob, grace, linus } = await officers(installation);
  await teamGone(installation);
  const first = await ask(installation, ada);
  assert.equal((await decide(installation, bob, first, 'denied')).status, 'denied');
  assert.equal((await decide(installation, bob, first, 'denied')).status, 'denied', 'said twice');
  await assert.rejects(decide(installation, grace, first), code('conflict', /was denied/));

  const second = await ask(installation, ada);
  assert.notEqual(second.id, first.id);
  for (const one of [bob, grace]) await decide(installation, one, second);
  const deny = () => decide(installation, linus, second, 'denied');
  await assert.rejects(restore(installation, ada, second.id, { meanwhile: deny }), code('conflict'));
  await assert.rejects(restore(installation, ada, second.id), code('needs_approval', /is denied/));

  const third = await ask(installation, ada);
  await assert.rejects(withdrawApproval(bob, third.id, partsOf(installation)), code('denied'));
  assert.equal((await withdrawApproval(ada, third.id, partsOf(installation))).status, 'withdrawn');
  await assert.rejects(decide(installation, grace, third), code('conflict', /withdrawn/));
});

onEachEngine('it ends by time, and that is recorded', async ({ open }) => {
  const installation = await createInstallation(await open());
  const { ada, bob, grace } = await officers(installation);
  await teamGone(installation);
  await assert.rejects(ask(installation, ada, 'research', 59), code('bad_request'));
  await assert.rejects(ask(installation, ada, 'research', 604_801), code('bad_request'));
  const approval = await ask(installation, ada, 'research', 60);
  for (const one of [bob, grace]) await decide(installation, one, approval);
  const late = async () => installation.advance(60_000);
  await assert.rejects(restore(installation, ada, approval.id, { meanwhile: late }), isWritError);
  await installation.policy.fresh();
  await assert.rejects(restore(installation, ada, approval.id), code('needs_approval', /is expired/));
  assert.equal(await expireApprovals(partsOf(installation)), 1);
  assert.equal(await expireApprovals(partsOf(installation)), 0);
  assert.equal((await installation.events()).at(-1)?.type, 'approval.expired');
  assert.equal((await showApproval(ada, approval.id, partsOf(installation))).status, 'expired');
});
