/** No policy set keeps out the one that follows it: the people of the group agree, whatever it says of answering. */
import assert from 'node:assert/strict';
import { onEachEngine } from '../../test/engines.ts';
import { callerOf, createInstallation, type Installation, letIn, register } from '../../test/installation.ts';
import type { AccessRequest, Caller } from '../base/access.ts';
import { type ErrorCode, isWritError } from '../base/error.ts';
import { newBatch } from '../db/batch.ts';
import { canonicalJson } from '../merkle/canonical-json.ts';
import { publishPolicy } from '../policy/publish.ts';
import { digestOf, insertPolicySet, type PolicySet, readPolicySet } from '../policy/store.ts';
import { defaultPolicyText } from '../policy/text-files.ts';
import type { Approval } from './approval.ts';
import { requestApproval } from './request.ts';
import { showApproval } from './show.ts';
import { actingOf, boundBy, decide, officers, operator, partsOf } from './testdata/people.ts';

const ADMINISTRATOR: Caller = { kind: 'system', id: 'system:administrator' };
const INSTALLATION = { type: 'Installation', id: 'writ' } as const;
const PUBLISH = { caller: ADMINISTRATOR, action: 'policy.publish', resource: INSTALLATION } as const;
const code = (wanted: ErrorCode) => (error: unknown) => isWritError(error, wanted);

/** Sets under which nobody answers: that no version of Writ reads, that fails whenever it is asked, that forbids it. */
const SILENCING = {
  'cannot be read': 'permit (principal, action, resource) when { principal.nothing',
  'fails on every request':
    '@id("a") @description("b") permit (principal, action, resource) when { 9223372036854775807 + 1 > 0 };',
  'lets nobody answer':
    `${defaultPolicyText()}\n@id("a") @description("b") forbid (principal, action == Action::"approval.decide", resource);\n` +
    '@id("c") @description("d") forbid (principal, action == Action::"approval.read", resource);',
};

async function putInForce({ commit, database, clock, policy }: Installation, text: string): Promise<void> {
  const before = (await readPolicySet(database))!;
  const batch = newBatch();
  const set = { ...before, version: before.version + 1, text, digest: digestOf(text), publishedAt: clock.now() };
  insertPolicySet(batch, set);
  await commit(batch);
  await policy.fresh();
}

const parametersOf = (text: string): string =>
  canonicalJson({ method: 'COMMAND', path: 'policy publish', params: {}, query: {}, body: { text } });

async function ask(installation: Installation, request: AccessRequest, parameters: string): Promise<Approval> {
  const verdict = installation.policy.authorize(request);
  if (verdict.allowed) throw new Error('allowed without');
  const wanted = { request, verdict, parameters, reason: 'nobody can do anything' };
  return requestApproval(request.caller, wanted, partsOf(installation));
}

/** As `writ policy publish FILE --here` has it. */
async function replace(installation: Installation, text: string, approval?: string): Promise<PolicySet> {
  const { database, clock, policy } = installation;
  const bound = boundBy(ADMINISTRATOR, parametersOf(text), approval);
  const acting = await actingOf(installation, bound);
  return publishPolicy(bound, { text }, { reader: database, clock, cedar: policy.cedar, ...acting });
}

for (const [what, text] of Object.entries(SILENCING)) {
  onEachEngine(`a set that ${what} is replaced by two of the group, and by nobody else`, async ({ open }) => {
    const installation = await createInstallation(await open());
    const { policy } = installation;
    const { ada, bob, grace, graceToo } = await officers(installation);
    const eve = await operator(installation, 'eve');
    await register(installation, 'planner');
    const planner = callerOf(await letIn(installation, { agent: 'planner' }));
    await policy.fresh();
    await putInForce(installation, text);

    const good = `${defaultPolicyText()}\n// Mended.`;
    await assert.rejects(replace(installation, good), code('needs_approval'), 'the passphrase alone does not do');
    const approval = await ask(installation, PUBLISH, parametersOf(good));
    assert.deepEqual([approval.needed, approval.group], [2, 'ca-officers']);
    assert.equal((await showApproval(bob, approval.id, partsOf(installation))).parameters, parametersOf(good));
    for (const other of [eve, planner]) await assert.rejects(decide(installation, other, approval), code('denied'));
    await decide(installation, grace, approval);
    await decide(installation, graceToo, approval);
    await assert.rejects(replace(installation, good, approval.id), code('needs_approval'), 'a person counts once');
    await decide(installation, bob, approval);
    const answered = (await installation.events()).filter(({ type }) => type === 'approval.decided');
    for (const { body } of answered) assert.deepEqual(body['authority'], ['policy.successor']);

    // Of nothing else that is asked for.
    const sre = { caller: ADMINISTRATOR, action: 'group.change', resource: { type: 'Group', id: 'sre' } } as const;
    const other = await ask(installation, sre, parametersOf('group'));
    await assert.rejects(decide(installation, bob, other), code('denied'));
    await assert.rejects(showApproval(bob, other.id, partsOf(installation)), code('denied'));
    if (what === 'lets nobody answer') {
      const own = await ask(installation, { ...PUBLISH, caller: ada }, parametersOf(good));
      await assert.rejects(decide(installation, bob, own), code('denied'), 'only on the server’s machine');
    }
    // Who is against it can say so, too.
    const second = await ask(installation, PUBLISH, parametersOf('permit (principal, action, resource);'));
    assert.equal((await decide(installation, ada, second, 'denied')).status, 'denied');

    await assert.rejects(replace(installation, `${good} And more.`, approval.id), code('needs_approval'));
    const set = await replace(installation, good, approval.id);
    assert.equal(set.text, good);
    await policy.fresh();
    await register(installation, 'writer');
    const published = (await installation.events()).findLast(({ type }) => type === 'policy.published');
    assert.equal(published?.body['approval'], approval.id);
    await installation.close();
  });
}
