import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ACTIONS, type Action, type Facts } from '../base/access.ts';
import { Cedar } from './cedar.ts';
import { SHAPES } from './facts.ts';
import { createGuard } from './guard.ts';
import { checkPolicy } from './publish.ts';
import {
  ADA,
  AGENT,
  ANONYMOUS,
  CERTIFICATE,
  INSTANCE,
  LIMITS,
  type RequestParts,
  request,
} from './testdata/requests.ts';
import { schemaShape } from './testdata/schema-shape.ts';
import { defaultPolicyText, schemaText } from './text-files.ts';
import { type PolicyCase, testPolicy } from './try.ts';

const cedar = new Cedar(schemaText());
const guard = createGuard(LIMITS);
const CANARY: Facts = { ...AGENT, labels: ['canary=true'] };
const own: Facts = { ...CERTIFICATE, instance: INSTANCE.instance! };
const token = (more: Facts = {}): Facts => ({ uses: 1, lifetimeSeconds: 3600, scopes: [], ...more });

test('the default set has neither errors nor warnings', () => {
  assert.deepEqual(checkPolicy(cedar, defaultPolicyText()), []);
});

test('so has every example in its comments, once it is taken out of them', () => {
  const examples = defaultPolicyText().match(/^\/\/ @id[^;]*;$/gm) ?? [];
  assert.equal(examples.length, 6);
  for (const example of examples) {
    const alone = `${example.replaceAll(/^\/\/ ?/gm, '')}\n${PERMIT}`;
    assert.deepEqual(checkPolicy(cedar, alone), [], example);
  }
  assert.deepEqual(checkPolicy(cedar, defaultPolicyText().replaceAll(/^\/\/ (@id[^;]*;)$/gm, uncomment)), []);
});

test('a set that permits nothing is warned of: whoever publishes one rule alone meant to add it', () => {
  const [found, ...more] = checkPolicy(cedar, PERMIT.replace('permit', 'forbid'));
  assert.deepEqual([found?.severity, more], ['warning', []]);
  assert.match(found!.message, /^no rule permits anything/);
  assert.equal(checkPolicy(cedar, '').length, 1);
});

const PERMIT =
  '@id("x") @description("x") permit (principal is Operator, action == Action::"agent.read", resource is Agent);';

const uncomment = (example: string): string => example.replaceAll(/^\/\/ ?/gm, '');

const TOKEN: Facts = { audience: ['reports'], lifetimeSeconds: 300, instance: INSTANCE.instance! };

const cases: [PolicyCase['expect'], Action, RequestParts?][] = [
  // operators
  ['allow', 'agent.read'],
  ['allow', 'agent.read', { type: 'Installation' }],
  ['allow', 'ledger.read', { type: 'Installation' }],
  ['allow', 'policy.read'],
  ['allow', 'agent.register'],
  ['allow', 'agent.register', { type: 'Service' }],
  ['allow', 'agent.update'],
  ['allow', 'agent.retire'],
  ['allow', 'owner.remove', { id: 'research' }],
  ['allow', 'token.create'],
  ['allow', 'token.create', { context: token({ uses: 10_000, lifetimeSeconds: 86_400 }) }],
  ['deny', 'token.create', { context: token({ uses: 101, lifetimeSeconds: 86_401 }) }],
  ['allow', 'token.create', { context: token({ uses: 100, lifetimeSeconds: 2_592_000 }) }],
  ['allow', 'token.revoke'],
  ['allow', 'instance.stop'],
  ['allow', 'certificate.revoke', { type: 'Operator', id: 'bob' }],
  ['allow', 'certificate.issue'],
  ['allow', 'certificate.replace'],
  ['deny', 'certificate.renew'],
  ['allow', 'certificate.renew', { type: 'Operator', id: 'ada', context: { ...CERTIFICATE, profile: 'operator' } }],
  ['deny', 'certificate.renew', { type: 'Operator', id: 'bob', context: { ...CERTIFICATE, profile: 'operator' } }],
  ['deny', 'certificate.issue', { type: 'Operator', id: 'ada', context: { ...CERTIFICATE, profile: 'operator' } }],
  ['approval', 'policy.publish'],
  ['approval', 'profile.publish', { id: 'agent' }],
  ['approval', 'operator.add', { type: 'Operator', id: 'bob' }],
  ['approval', 'operator.remove', { type: 'Operator', id: 'bob' }],
  ['approval', 'owner.restore', { id: 'research' }],
  ['approval', 'authority.rotate'],
  ['approval', 'group.change', { id: 'security' }],
  ['allow', 'group.read'],
  ['allow', 'approval.read'],
  ['allow', 'approval.decide'],
  ['deny', 'approval.decide', { caller: INSTANCE }],
  ['allow', 'stop.quarantine'],
  ['allow', 'stop.quarantine', { type: 'Installation', context: { kind: 'label', cause: 'key_theft' } }],
  ['allow', 'stop.revoke'],
  ['allow', 'stop.confirm'],
  ['allow', 'stop.read'],
  ['approval', 'stop.release'],
  ['approval', 'authority.revoke'],
  ['allow', 'signal.read'],
  ['allow', 'signal.manage'],
  ['allow', 'canary.read'],
  ['allow', 'canary.remove'],
  ['deny', 'canary.report'],
  // newcomers
  ['allow', 'instance.enrol', { caller: ANONYMOUS }],
  ['deny', 'instance.enrol', { caller: ANONYMOUS, context: { ...CERTIFICATE, attestation: 'hearsay' } }],
  ['deny', 'instance.enrol', { caller: ADA }],
  ['deny', 'agent.read', { caller: ANONYMOUS }],
  // instances
  ['allow', 'certificate.renew', { caller: INSTANCE, context: own }],
  ['allow', 'certificate.replace', { caller: INSTANCE, context: own }],
  ['deny', 'certificate.issue', { caller: INSTANCE, context: own }],
  ['deny', 'certificate.renew', { caller: INSTANCE, context: { ...own, instance: 'another' } }],
  ['deny', 'certificate.renew', { caller: INSTANCE, context: own, facts: { ...AGENT, status: 'orphaned' } }],
  ['allow', 'instance.stop', { caller: INSTANCE, context: { instance: INSTANCE.instance! } }],
  [
    'allow',
    'instance.stop',
    { caller: INSTANCE, id: 'other', context: { instance: 'x', lineage: [INSTANCE.instance!] } },
  ],
  ['deny', 'instance.stop', { caller: INSTANCE, context: { instance: 'x' } }],
  ['allow', 'certificate.revoke', { caller: INSTANCE, context: { reason: 'key_theft', instance: INSTANCE.instance! } }],
  ['allow', 'token.create', { caller: INSTANCE, context: token({ callerDepth: 0 }) }],
  ['allow', 'token.create', { caller: INSTANCE, context: token({ callerDepth: 0, uses: 10 }) }],
  ['deny', 'token.create', { caller: INSTANCE, context: token({ callerDepth: 0, uses: 11 }) }],
  ['deny', 'token.create', { caller: INSTANCE, context: token({ callerDepth: 0, lifetimeSeconds: 3601 }) }],
  ['deny', 'token.create', { caller: INSTANCE, id: 'other', context: token({ callerDepth: 0 }) }],
  ['deny', 'token.create', { caller: INSTANCE, context: token({ callerDepth: 8 }) }],
  ['allow', 'token.read', { caller: INSTANCE, type: 'Installation', context: { own: true } }],
  ['allow', 'token.revoke', { caller: INSTANCE, context: { own: true } }],
  ['deny', 'token.revoke', { caller: INSTANCE, context: { own: false } }],
  ['allow', 'agent.read', { caller: INSTANCE }],
  ['allow', 'certificate.read', { caller: INSTANCE }],
  ['deny', 'agent.read', { caller: INSTANCE, id: 'other' }],
  ['allow', 'profile.read', { caller: INSTANCE }],
  ['allow', 'authority.read', { caller: INSTANCE }],
  ['deny', 'ledger.read', { caller: INSTANCE }],
  ['deny', 'agent.register', { caller: INSTANCE }],
  [
    'allow',
    'stop.quarantine',
    { caller: INSTANCE, context: { kind: 'instance', cause: 'key_theft', instance: INSTANCE.instance! } },
  ],
  [
    'allow',
    'stop.quarantine',
    {
      caller: INSTANCE,
      context: { kind: 'parent', cause: 'key_theft', instance: 'x', lineage: [INSTANCE.instance!] },
    },
  ],
  ['deny', 'stop.quarantine', { caller: INSTANCE }],
  [
    'deny',
    'stop.quarantine',
    { caller: INSTANCE, context: { kind: 'instance', cause: 'key_theft', instance: 'x', lineage: [] } },
  ],
  ['deny', 'stop.confirm', { caller: INSTANCE }],
  ['deny', 'stop.release', { caller: INSTANCE }],
  ['deny', 'signal.read', { caller: INSTANCE }],
  ['deny', 'signal.manage', { caller: INSTANCE }],
  ['allow', 'canary.report', { caller: INSTANCE, facts: CANARY }],
  ['deny', 'canary.report', { caller: INSTANCE }],
  ['deny', 'canary.report', { caller: INSTANCE, id: 'other', facts: CANARY }],
  ['deny', 'canary.read', { caller: INSTANCE }],
  ['deny', 'canary.remove', { caller: INSTANCE }],
  ['deny', 'policy.publish', { caller: INSTANCE }],
  ['allow', 'jwt.issue', { caller: INSTANCE }],
  ['deny', 'jwt.issue', { caller: INSTANCE, context: { ...TOKEN, lifetimeSeconds: 301 } }],
  ['allow', 'jwt.issue', { caller: INSTANCE, context: { ...TOKEN, instance: 'x', parent: INSTANCE.instance! } }],
  ['deny', 'jwt.issue', { caller: INSTANCE, context: { ...TOKEN, instance: 'x', parent: 'y' } }],
  ['deny', 'jwt.issue'],
  ['allow', 'federation.read'],
  ['allow', 'federation.read', { caller: INSTANCE }],
  ['deny', 'domain.sign', { caller: INSTANCE }],
  ['deny', 'domain.create', { caller: INSTANCE }],
  ['approval', 'domain.create'],
  ['allow', 'domain.sign'],
  ['approval', 'domain.rotate'],
  ['allow', 'domain.revoke'],
  ['allow', 'domain.close'],
  ['deny', 'domain.rotate', { caller: INSTANCE }],
  ['deny', 'domain.revoke', { caller: INSTANCE }],
  ['allow', 'domain.read'],
  ['deny', 'federation.manage', { caller: INSTANCE }],
  ['approval', 'federation.manage'],
  ['approval', 'federation.manage', { context: { trustDomain: 'partner.example', change: 'replace' } }],
  ['allow', 'federation.manage', { context: { trustDomain: 'partner.example', change: 'remove' } }],
  ['allow', 'federation.manage', { context: { trustDomain: 'partner.example', change: 'refresh' } }],
];

test('what the default set says to whom', () => {
  const asked = cases.map(([expect, action, parts], at): PolicyCase => {
    return {
      name: `${at} ${action} ${parts?.caller?.kind ?? 'operator'}`,
      request: request(action, parts),
      expect: expect!,
    };
  });
  const outcome = testPolicy({ text: defaultPolicyText(), cedar, guard, now: 0 }, asked);
  assert.ok('results' in outcome);
  const wrong = outcome.results.filter(({ asExpected }) => !asExpected);
  assert.deepEqual(wrong, []);
  for (const { verdict, sentences } of outcome.results) {
    for (const sentence of sentences) assert.match(sentence, /\.$/);
    if (!verdict.allowed) assert.ok(verdict.reasons.length > 0);
  }
  assert.deepEqual(new Set(asked.map(({ request: { action } }) => action)).size > 20, true);
});

test('the shapes in the code are those of the schema', () => {
  const schema = schemaShape(schemaText());
  const plain: Record<string, string> = { text: 'String', number: 'Long', boolean: 'Bool', texts: 'Set<String>' };
  for (const action of ACTIONS) {
    const { context, principals, resources } = schema.actions[action]!;
    const want = Object.entries(SHAPES[action].context).map(([name, type]) => {
      return [name, plain[type.replace('?', '')]! + (type.endsWith('?') ? '?' : '')];
    });
    assert.deepEqual(context, Object.fromEntries([...want, ['now', 'datetime']]), action);
    assert.ok(principals.every((type) => ['Operator', 'Instance', 'Anonymous'].includes(type)));
    // Certificates of the authority's own servers are not the organisation's business.
    const ours = SHAPES[action].resources.filter(
      (type) => !/issue|renew|replace/.test(action) || type !== 'Installation',
    );
    assert.deepEqual([...resources].sort(), [...ours].sort(), action);
  }
  assert.deepEqual(
    Object.keys(schema.actions).filter((name) => !(ACTIONS as readonly string[]).includes(name)),
    ['read'],
  );
  for (const type of ['Agent', 'Service']) {
    assert.deepEqual(schema.entities[type], {
      environment: 'String',
      labels: 'Set<String>',
      modelName: 'String?',
      modelProvider: 'String?',
      profile: 'String',
      status: 'String',
      team: 'String',
    });
  }
  assert.deepEqual(schema.entities['Operator'], { groups: 'Set<String>' });
  assert.deepEqual(schema.entities['Owner'], { team: 'String' });
  for (const type of ['Instance', 'Anonymous', 'Profile', 'Installation']) {
    assert.deepEqual(schema.entities[type], {}, `${type} has no facts that a rule could read unseen`);
  }
});
