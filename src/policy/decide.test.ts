import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ACTIONS, type AccessRequest, type Action, type Caller, type Facts, type Verdict } from '../base/access.ts';
import { answer } from './answer.ts';
import { Cedar } from './cedar.ts';
import { Decider, type Ruling } from './decide.ts';
import { createGuard } from './guard.ts';
import { readsOf, rulesFor } from './reads.ts';
import { principalOf, requestKey } from './request.ts';
import { type Rules, readRules } from './rules.ts';
import { ADA, AGENT, ANONYMOUS, CERTIFICATE, INSTANCE, LIMITS, request } from './testdata/requests.ts';
import { defaultPolicyText, schemaText } from './text-files.ts';

const cedar = new Cedar(schemaText());
const NOON = Date.UTC(2026, 10, 22, 12);

function rulesOf(text: string): Rules {
  const read = readRules(cedar, text, cedar.schemaDigest);
  assert.ok('rules' in read, JSON.stringify(read));
  return read.rules;
}

/** Rules `r0`, `r1` … from what follows the annotations. */
function textOf(...bodies: string[]): string {
  return bodies.map((body, at) => `@id("r${at}") @description("Rule ${at}.") ${body}`).join('\n');
}

function withSet<T>(text: string, use: (decider: Decider) => T, remembered?: number): T {
  const decider = new Decider(cedar, { version: 7, rules: rulesOf(text) }, remembered);
  try {
    return use(decider);
  } finally {
    decider.drop();
  }
}

const ruling = (text: string, asked: AccessRequest, now = NOON): Ruling =>
  withSet(text, (decider) => decider.decide(asked, now));

const PERMIT = 'permit (principal, action, resource);';

test('nothing is permitted by default, and a forbid wins', () => {
  const asked = request('token.create');
  const said = (text: string): Verdict => ruling(text, asked).verdict;
  assert.deepEqual(said(''), {
    allowed: false,
    rules: [],
    reasons: ['No rule permits token.create here.'],
    policyVersion: 7,
  });
  assert.deepEqual(said(textOf(PERMIT)), { allowed: true, rules: ['r0'], policyVersion: 7 });
  const never = 'forbid (principal, action, resource) when { context.uses == 1 };';
  assert.deepEqual(said(textOf(PERMIT, never.replace('action,', 'action == Action::"token.create",'))), {
    allowed: false,
    rules: ['r1'],
    reasons: ['Rule 1.'],
    policyVersion: 7,
  });
  const elsewhere = 'permit (principal, action == Action::"token.create", resource == Agent::"payer");';
  const { verdict } = ruling(textOf(elsewhere), asked);
  assert.deepEqual(verdict.allowed === false && verdict.reasons, [
    'No rule permits token.create here.',
    'What the rule r0 permits: Rule 0.',
  ]);
});

test('a rule that errors refuses, also where Cedar alone would skip it and allow', () => {
  const overflows = (effect: string): string =>
    `${effect} (principal, action == Action::"token.create", resource) when { context.uses + 9223372036854775807 > 0 };`;
  for (const effect of ['forbid', 'permit']) {
    const said = ruling(textOf(PERMIT, overflows(effect)), request('token.create'));
    assert.equal(said.verdict.allowed, false, effect);
    assert.match(said.failure ?? '', /r1.*overflow/);
    // The rule is not evaluated for another action, so it cannot hurt there.
    assert.equal(ruling(textOf(PERMIT, overflows(effect)), request('agent.read')).verdict.allowed, true);
  }
});

test('a request that does not fit the schema refuses', () => {
  const asked = request('token.create');
  const bad: AccessRequest[] = [
    { ...asked, context: { ...asked.context, uses: 'one' } },
    { ...asked, context: {} },
    { ...asked, context: { ...asked.context, uses: 1.5 } },
    { ...asked, resource: { type: 'Installation', id: 'writ' } },
    { ...asked, resource: { ...asked.resource, facts: { ...AGENT, team: 1 } } },
    { ...asked, resource: { ...asked.resource, facts: {} } },
    { ...asked, caller: ANONYMOUS },
    { ...request('agent.register'), caller: INSTANCE },
  ];
  for (const one of bad) {
    const said = ruling(textOf(PERMIT), one);
    assert.equal(said.verdict.allowed, false, JSON.stringify(one));
    assert.ok(said.failure);
  }
});

test('a failure is not remembered', () => {
  withSet(textOf(PERMIT), (decider) => {
    const asked = request('token.create');
    const { uses: _, ...incomplete } = asked.context!;
    assert.ok(decider.decide({ ...asked, context: incomplete }, NOON).failure);
    assert.equal(decider.decide(asked, NOON).verdict.allowed, true);
    assert.ok(
      decider.decide({ ...asked, context: { ...incomplete, scopes: 'x' } }, NOON).failure === undefined,
      'guard.complete is relied on',
    );
  });
});

test('an approval is asked for where nothing permits without one; the fewest people suffice', () => {
  const text = (...bodies: string[]): string =>
    bodies.map((body, at) => `@id("r${at}") @description("Rule ${at}.") ${body}`).join('\n');
  const by = (count: number): string => `@needs_approval("${count} of officers") ${PERMIT}`;
  const asked = request('policy.publish');
  assert.deepEqual(ruling(text(by(3), by(2), by(4)), asked).verdict, {
    allowed: false,
    needsApproval: { count: 2, group: 'officers' },
    rules: ['r1'],
    reasons: ['Rule 1.', 'It needs the consent of 2 of officers.'],
    policyVersion: 7,
  });
  assert.deepEqual(ruling(text(by(3), PERMIT), asked).verdict, { allowed: true, rules: ['r1'], policyVersion: 7 });
  const refused = ruling(text(by(3), 'forbid (principal, action, resource);'), asked).verdict;
  assert.ok(!refused.allowed && refused.needsApproval === undefined);
});

test('the default set tells renewals apart by what counts and by nothing else', () => {
  const rules = rulesOf(defaultPolicyText());
  const renewal = (caller: Caller, more: Partial<Facts> = {}, id = 'planner', facts: Facts = AGENT): string => {
    const context = { ...CERTIFICATE, instance: caller.instance ?? '', ...more } as Facts;
    const asked = request('certificate.renew', { caller, context, id, facts });
    const { type } = principalOf(asked).uid;
    return requestKey(asked, readsOf(rulesFor(rules.values(), asked.action, type)));
  };
  const other: Caller = { ...INSTANCE, id: 'spiffe://example.com/agent/planner/x', instance: 'x' };
  assert.equal(renewal(INSTANCE), renewal(other), 'a fleet shares one answer');
  assert.equal(renewal(INSTANCE), renewal(INSTANCE, { lifetimeSeconds: 1800, keyAlgorithm: 'ed25519' }));
  assert.equal(renewal(INSTANCE), renewal(INSTANCE, {}, 'planner', { ...AGENT, team: 'other' }));
  const different = [
    renewal(INSTANCE),
    renewal({ ...INSTANCE, agent: 'payer' }),
    renewal({ ...INSTANCE, kind: 'service' }),
    renewal(INSTANCE, {}, 'payer'),
    renewal(ADA),
    renewal({ ...ADA, operator: 'bob' }),
  ];
  assert.equal(new Set(different).size, different.length);
});

test('a change of what a rule reads of agent or profile is another request', () => {
  const text = textOf(
    'permit (principal, action == Action::"certificate.issue", resource is Agent) when { ' +
      'resource.team == "research" && resource.labels.contains("tier=gold") && context.profile == "agent" && ' +
      'context.lifetimeSeconds <= 3600 && !(resource has modelName) && principal == Operator::"ada" };',
  );
  withSet(text, (decider) => {
    const allowed = (facts: Facts = {}, context: Facts = {}, caller = ADA): boolean =>
      decider.decide(
        request('certificate.issue', {
          caller,
          facts: { ...AGENT, ...facts },
          context: { ...CERTIFICATE, ...context },
        }),
        NOON,
      ).verdict.allowed;
    for (let round = 0; round < 3; round++) {
      assert.equal(allowed(), true);
      assert.equal(allowed({ team: 'other' }), false);
      assert.equal(allowed({ labels: [] }), false);
      assert.equal(allowed({ labels: ['tier=gold', 'x=y'] }), true);
      assert.equal(allowed({ modelName: 'large' }), false);
      assert.equal(allowed({}, { profile: 'short' }), false);
      assert.equal(allowed({}, { lifetimeSeconds: 3601 }), false);
      assert.equal(allowed({}, {}, { ...ADA, operator: 'bob' }), false);
    }
  });
});

test('where a rule reads the time, nothing is remembered; elsewhere it is', () => {
  const day = 'context.now.toTime() >= duration("6h") && context.now.toTime() < duration("22h")';
  const forms = [
    `permit (principal, action == Action::"token.create", resource) when { ${day} };`,
    `permit (principal, action, resource) when { ${day} };`,
    `permit (principal, action == Action::"token.create", resource) when { {c: context}.c.now.toTime() < duration("22h") };`,
    `permit (principal, action == Action::"token.create", resource) when { (if true then context else context).now.toTime() < duration("22h") };`,
    `permit (principal, action == Action::"token.create", resource) when { [context.now].contains(datetime("2026-11-22T12:00:00.000Z")) };`,
  ];
  const night = Date.UTC(2026, 10, 22, 23);
  for (const form of forms) {
    withSet(textOf(form), (decider) => {
      for (let round = 0; round < 2; round++) {
        assert.equal(decider.decide(request('token.create'), NOON).verdict.allowed, true, form);
        assert.equal(decider.decide(request('token.create'), night).verdict.allowed, false, form);
      }
    });
  }
  withSet(textOf(forms[0]!, PERMIT.replace('action,', 'action == Action::"agent.read",')), (decider) => {
    const first = decider.decide(request('agent.read'), NOON);
    assert.equal(decider.decide(request('agent.read'), night), first, 'the very same answer');
    assert.notEqual(decider.decide(request('token.create'), NOON), decider.decide(request('token.create'), NOON));
  });
});

/** Pieces of conditions, plain and odd, that parse in any place. Some are ill-typed for some requests: those refuse. */
const CONDITIONS = [
  'principal in resource',
  'resource in principal',
  'principal == resource',
  'resource == Agent::"planner"',
  'resource != Agent::"planner"',
  'principal in Agent::"planner"',
  'principal in Service::"planner"',
  'principal in [Agent::"payer", Agent::"planner"]',
  'principal in [Agent::"payer", Instance::"i1"]',
  'principal == Instance::"i1"',
  'principal in Instance::"i2"',
  'Instance::"i1" in Agent::"planner"',
  'Instance::"i1" in resource',
  'Agent::"planner" has team',
  'Agent::"planner".team == "a"',
  '[principal].contains(Instance::"i1")',
  '[resource].contains(Agent::"payer")',
  '{x: principal}.x == Instance::"i2"',
  '{x: resource}.x has modelName',
  '(if principal is Instance then principal else resource) == Instance::"i1"',
  '(if resource is Agent then resource else resource) == Agent::"payer"',
  'principal is Instance in Agent::"payer"',
  'principal is Instance',
  'resource is Agent in Agent::"payer"',
  'resource is Service',
  'resource has modelName && resource.modelName like "l*"',
  'resource has team && resource.team == "a"',
  'resource has labels && resource.labels.contains("x=1")',
  'context has workflow && context.workflow == "w"',
  'context has uses && context.uses > 1',
  'context has scopes && context.scopes.contains("s")',
  'context has scopes && context.scopes.isEmpty()',
  'context has instance && context.instance == "i1"',
  'context has own && context.own',
  '{a: context}.a has workflow',
  'context has uses && -context.uses + 5 < 3',
  'context.uses == 1',
];

const CALLERS: readonly Caller[] = [
  ...['i1', 'i2'].flatMap((instance) => [
    { ...INSTANCE, instance },
    { ...INSTANCE, instance, agent: 'payer' },
    { ...INSTANCE, instance, kind: 'service' as const },
  ]),
  ADA,
  { ...ADA, operator: 'planner' },
];
const ABOUT: readonly Facts[] = [
  { ...AGENT, team: 'a' },
  { ...AGENT, team: 'b', modelName: 'large', modelProvider: 'x' },
  { ...AGENT, team: 'b', labels: ['x=1'] },
];
const token: Facts = { uses: 1, lifetimeSeconds: 60, scopes: [] };
const ASKED: readonly (readonly [Action, Facts])[] = [
  ['token.create', token],
  ['token.create', { ...token, uses: 3 }],
  ['token.create', { ...token, uses: 9 }],
  ['token.create', { ...token, workflow: 'w' }],
  ['token.create', { ...token, scopes: ['s'] }],
  ['certificate.revoke', { reason: 'x' }],
  ['certificate.revoke', { reason: 'x', instance: 'i1' }],
  ['certificate.revoke', { reason: 'x', instance: 'i2' }],
  ['agent.read', {}],
  ['token.read', { own: true }],
  ['token.read', { own: false }],
];
const PLACES = (['Agent', 'Service'] as const).flatMap((type) => ['planner', 'payer'].map((id) => ({ type, id })));

function agree(text: string, requests: readonly AccessRequest[]): number {
  const decideAll = (remembered?: number): Ruling[] =>
    withSet(text, (decider) => requests.map((one) => decider.decide(one, NOON)), remembered);
  const remembered = decideAll();
  assert.deepEqual(remembered, decideAll(0), text);
  return requests.length - new Set(remembered).size;
}

test('a remembered answer is the answer that Cedar would give: each condition alone, on all that it can tell apart', () => {
  const whoAndWhat = CALLERS.flatMap((caller) =>
    PLACES.flatMap((place) =>
      ABOUT.map((facts) => request('token.create', { caller, ...place, facts, context: token })),
    ),
  );
  const how = ASKED.flatMap(([action, context]) =>
    CALLERS.slice(0, 2).map((caller) => request(action, { caller, context, type: 'Agent' })),
  );
  let shared = 0;
  for (const condition of CONDITIONS) {
    shared += agree(textOf(`permit (principal, action, resource) when { ${condition} };`), [...whoAndWhat, ...how]);
  }
  for (const scope of SCOPES) shared += agree(textOf(`permit (${scope});`), [...whoAndWhat, ...how]);
  assert.ok(shared > 1000, `the memory was at work: ${shared}`);
});

const SCOPES = [
  'principal == Instance::"i1", action, resource',
  'principal == Operator::"ada", action, resource',
  'principal in Instance::"i1", action, resource',
  'principal in Agent::"planner", action, resource',
  'principal is Instance in Service::"planner", action, resource',
  'principal is Instance in Instance::"i2", action, resource',
  'principal, action, resource == Agent::"planner"',
  'principal, action, resource in Service::"planner"',
  'principal, action, resource is Service',
  'principal, action == Action::"token.create", resource',
  'principal, action in Action::"read", resource',
  'principal, action in [Action::"agent.read", Action::"certificate.revoke"], resource',
];

test('and so it is where rules and conditions meet', () => {
  const clause = fc
    .tuple(fc.constantFrom('when', 'unless'), fc.array(fc.constantFrom(...CONDITIONS), { minLength: 1, maxLength: 2 }))
    .map(([kind, parts]) => `${kind} { ${parts.join(' && ')} }`);
  const policy = fc
    .tuple(fc.constantFrom('permit', 'permit', 'forbid'), fc.constantFrom(...SCOPES), fc.option(clause, { nil: '' }))
    .map(([effect, scope, when]) => `${effect} (${scope}) ${when};`);
  const one = fc
    .tuple(
      fc.constantFrom(...CALLERS),
      fc.constantFrom(...ASKED),
      fc.constantFrom(...PLACES),
      fc.constantFrom(...ABOUT),
    )
    .map(([caller, [action, context], place, facts]) => request(action, { caller, ...place, facts, context }));
  fc.assert(
    fc.property(
      fc.array(policy, { minLength: 2, maxLength: 4 }),
      fc.array(one, { minLength: 16, maxLength: 32 }),
      (set, requests) => {
        agree(textOf(...set), requests);
      },
    ),
    { numRuns: 50 },
  );
});

test('no set makes the guard allow what it refuses', () => {
  const guard = createGuard(LIMITS);
  const text = fc.constantFrom(textOf(PERMIT), defaultPolicyText());
  const caller = fc.constantFrom<Caller>(ADA, INSTANCE, { ...INSTANCE, kind: 'service' }, ANONYMOUS, {
    ...ADA,
    operator: 'bob',
  });
  const value = fc.oneof(
    fc.constantFrom('planner', 'i1', INSTANCE.instance!, 'operator', 'active', 'db.example.com', 'evil.org'),
    fc.integer({ min: -1, max: 100_000 }),
    fc.boolean(),
    fc.constant([]),
    fc.constant(['evil.org']),
  );
  const deciders = new Map(
    [textOf(PERMIT), defaultPolicyText()].map((one) => [one, new Decider(cedar, { version: 1, rules: rulesOf(one) })]),
  );
  let allowed = 0;
  fc.assert(
    fc.property(
      text,
      caller,
      fc.constantFrom(...ACTIONS),
      fc.constantFrom('Agent' as const, 'Service' as const, 'Operator' as const, 'Installation' as const, undefined),
      fc.constantFrom('planner', 'payer', 'ada', undefined),
      fc.array(fc.tuple(fc.nat(20), value), { maxLength: 2 }),
      (set, who, action, type, id, changes) => {
        const base = request(action, { caller: who, ...(type && { type }), ...(id && { id }) });
        const context: Record<string, Facts[string]> = { ...base.context };
        const names = Object.keys(context);
        for (const [at, changed] of changes)
          if (names.length > 0) context[names[at % names.length]!] = changed as Facts[string];
        if (who.instance && names.includes('profile'))
          context['instance'] = changes.length % 2 === 0 ? who.instance : 'other';
        const one = { ...base, context };
        const decider = deciders.get(set)!;
        const verdict = answer(one, guard, { version: 1, decide: (r) => decider.decide(r, NOON).verdict });
        if (!verdict.allowed) return;
        allowed += 1;
        assert.equal(guard(one), undefined, JSON.stringify(one));
        // What must hold of anything that was allowed, said once more in other words.
        if (who.kind === 'anonymous') assert.equal(action, 'instance.enrol');
        if (who.instance !== undefined) {
          assert.ok(!/register|update|retire|owner|publish|operator|rotate|ledger/.test(action), action);
          if (/^certificate\.(issue|renew|replace)$/.test(action)) {
            assert.equal(context['instance'], who.instance);
            assert.equal(one.resource.id, who.agent);
          }
        }
        const names_ = (context['dnsNames'] ?? []) as readonly string[];
        assert.ok(!names_.includes('evil.org'));
        if (one.resource.type === 'Agent') assert.notEqual(context['profile'], 'operator');
      },
    ),
    { numRuns: 1500 },
  );
  assert.ok(allowed > 50, `something was allowed: ${allowed}`);
});
