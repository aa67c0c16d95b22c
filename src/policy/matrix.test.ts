/** Who may stop what, cell by cell: guard and default set together (docs/REVOCATION.md, "Who may"). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AccessRequest, Action, Caller, Facts } from '../base/access.ts';
import { Cedar } from './cedar.ts';
import { createGuard } from './guard.ts';
import { AGENT, CERTIFICATE, INSTANCE, LIMITS, type RequestParts, request } from './testdata/requests.ts';
import { defaultPolicyText, schemaText } from './text-files.ts';
import { type PolicyCase, testPolicy } from './try.ts';

const cedar = new Cedar(schemaText());
const guard = createGuard(LIMITS);

const person = (operator: string, ...groups: string[]): Caller => ({
  kind: 'operator',
  id: `spiffe://example.com/operator/${operator}`,
  operator,
  groups,
});

/** Whoever can ask to stop something. `planner` is an agent of the team `research`. */
const WHO = {
  itself: INSTANCE,
  parent: { ...INSTANCE, instance: 'above', id: 'spiffe://example.com/agent/planner/above' } as Caller,
  sibling: { ...INSTANCE, instance: 'beside', id: 'spiffe://example.com/agent/planner/beside' } as Caller,
  owner: person('olga', 'research'),
  anotherTeam: person('tim', 'sales'),
  security: person('sam', 'security'),
  officer: person('ophelia', 'ca-officers'),
  plain: person('paul'),
  sponsor: person('sue'),
  breakGlass: person('bea', 'break-glass'),
  signal: { kind: 'system', id: 'system:signal' } as Caller,
} as const;

type Who = keyof typeof WHO;
type Said = 'allow' | 'deny' | 'approval';

const INSTANCE_ID = INSTANCE.instance!;
const of = { instance: INSTANCE_ID, lineage: ['above'] };

interface Cell {
  readonly action: Action;
  readonly parts?: RequestParts;
}

/** What can be stopped, held or let go: one of each kind. */
const WHAT: Readonly<Record<string, Cell>> = {
  'hold instance': { action: 'stop.quarantine', parts: { context: { kind: 'instance', cause: 'key_theft', ...of } } },
  'stop instance': { action: 'instance.stop', parts: { context: of } },
  'hold what it let in': {
    action: 'stop.quarantine',
    parts: { context: { kind: 'parent', cause: 'key_theft', ...of } },
  },
  'revoke certificate': { action: 'certificate.revoke', parts: { context: { reason: 'key_theft', ...of } } },
  'replace certificate': {
    action: 'certificate.replace',
    parts: { context: { ...CERTIFICATE, instance: INSTANCE_ID } },
  },
  'be the instance': { action: 'certificate.issue', parts: { context: { ...CERTIFICATE, instance: INSTANCE_ID } } },
  'hold agent': { action: 'stop.quarantine' },
  'stop agent': { action: 'agent.retire' },
  'stop service': { action: 'agent.retire', parts: { type: 'Service', id: 'db' } },
  'hold team': {
    action: 'stop.quarantine',
    parts: { type: 'Owner', id: 'research', context: { kind: 'owner', cause: 'key_theft' } },
  },
  'stop team': { action: 'stop.revoke', parts: { type: 'Owner', id: 'research' } },
  'say that the team is gone': { action: 'owner.remove', parts: { id: 'research' } },
  'hold label': {
    action: 'stop.quarantine',
    parts: { type: 'Installation', context: { kind: 'label', cause: 'key_theft' } },
  },
  'stop label': {
    action: 'stop.revoke',
    parts: { type: 'Installation', context: { kind: 'label', cause: 'key_theft' } },
  },
  'hold authority': {
    action: 'stop.quarantine',
    parts: { type: 'Installation', context: { kind: 'authority', cause: 'authority_compromise' } },
  },
  'revoke authority': { action: 'authority.revoke' },
  'revoke an operator’s certificate': {
    action: 'certificate.revoke',
    parts: { type: 'Operator', id: 'ada', context: { reason: 'key_theft' } },
  },
  'confirm a mass stop': { action: 'stop.confirm' },
  'turn a stream of signals off': { action: 'signal.manage' },
  'look at a point no more': { action: 'canary.remove' },
  'lift a quarantine': { action: 'stop.release' },
  'bring a team back': { action: 'owner.restore', parts: { id: 'research' } },
  'rotate the authority': { action: 'authority.rotate' },
  'change the rules': { action: 'policy.publish' },
  'publish a profile': { action: 'profile.publish', parts: { id: 'operator' } },
  'change a group': { action: 'group.change', parts: { id: 'security' } },
  'add an operator': { action: 'operator.add', parts: { type: 'Operator', id: 'eve' } },
};

/** What policy is told a sponsor is the sponsor of. */
const OF_A_SPONSOR: ReadonlySet<Action> = new Set([
  'instance.stop',
  'certificate.revoke',
  'agent.retire',
  'stop.quarantine',
] as const);

const rows = (said: Said, ...what: string[]): [string, Said][] => what.map((one) => [one, said]);
const OUTLASTS = ['publish a profile', 'change a group', 'add an operator'];
const OFFICERS_DECIDE = rows(
  'approval',
  ...['revoke authority', 'lift a quarantine', 'bring a team back', 'rotate the authority'],
  ...['change the rules', ...OUTLASTS],
);
const ONE_INSTANCE = ['hold instance', 'stop instance', 'hold what it let in', 'revoke certificate'];
const TELLS = ['turn a stream of signals off', 'look at a point no more'];
const CERTIFIES = ['replace certificate', 'be the instance'];
const OF_THE_TEAM = [
  ...[...ONE_INSTANCE, ...CERTIFIES],
  ...['hold agent', 'stop agent', 'stop service', 'hold team', 'stop team', 'say that the team is gone'],
];
const ANYTHING = [...OF_THE_TEAM, 'hold label', 'stop label', 'hold authority', 'revoke an operator’s certificate'];

/** What each may; what is not said here is refused. */
const MATRIX: Readonly<Record<Who, readonly [string, Said][]>> = {
  itself: rows('allow', ...ONE_INSTANCE, 'replace certificate'),
  parent: rows('allow', ...ONE_INSTANCE),
  sibling: [],
  owner: [...rows('allow', ...OF_THE_TEAM), ...OFFICERS_DECIDE],
  anotherTeam: OFFICERS_DECIDE,
  security: [...rows('allow', ...ANYTHING, ...TELLS, 'confirm a mass stop'), ...OFFICERS_DECIDE],
  officer: [...rows('allow', 'hold authority', ...TELLS), ...OFFICERS_DECIDE],
  plain: OFFICERS_DECIDE,
  sponsor: [...rows('allow', ...ONE_INSTANCE, 'hold agent', 'stop agent', 'stop service'), ...OFFICERS_DECIDE],
  breakGlass: [
    ...OFFICERS_DECIDE.filter(([what]) => ['change the rules', ...OUTLASTS].includes(what)),
    ...rows('allow', ...ANYTHING.filter((what) => !['say that the team is gone', ...CERTIFIES].includes(what))),
    ...rows('allow', 'revoke authority', 'lift a quarantine', 'bring a team back', 'rotate the authority'),
  ],
  signal: rows(
    'allow',
    ...['hold instance', 'hold what it let in', 'hold agent', 'hold team', 'hold label', 'hold authority'],
  ),
};

function asked(caller: Caller, { action, parts }: Cell): AccessRequest {
  // What is above is for the guard alone, where an instance asks.
  const asks = request(action, { ...parts, caller });
  const { type } = asks.resource;
  if (caller !== WHO.sponsor || !OF_A_SPONSOR.has(action) || (type !== 'Agent' && type !== 'Service')) return asks;
  return { ...asks, context: { ...asks.context, bySponsor: true } };
}

test('every cell of the authority matrix, allowed and refused', () => {
  const cases = Object.entries(WHO).flatMap(([who, caller]) =>
    Object.entries(WHAT).map(([what, cell]): PolicyCase => {
      const said = MATRIX[who as Who].find(([name]) => name === what)?.[1] ?? 'deny';
      return { name: `${who}: ${what}`, request: asked(caller, cell), expect: said };
    }),
  );
  assert.equal(cases.length, Object.keys(WHO).length * Object.keys(WHAT).length);
  const outcome = testPolicy({ text: defaultPolicyText(), cedar, guard, now: 0 }, cases);
  assert.ok('results' in outcome);
  const wrong = outcome.results.filter(({ asExpected }) => !asExpected);
  assert.deepEqual(
    wrong.map(({ name, verdict }) => [name, verdict.allowed, verdict.rules]),
    [],
  );
});

test('who stops what is theirs stops nothing of others, and does not make it theirs first', () => {
  const sales: Facts = { ...AGENT, team: 'sales' };
  const takes = (team: string, facts: Facts): RequestParts => ({
    facts,
    context: { changes: ['team'], team, environment: 'production', profile: 'agent' },
  });
  const changing = (...changes: string[]): RequestParts => ({
    context: { changes, team: 'research', environment: 'production', profile: 'agent' },
  });
  const cases: [Said, Who, Action, RequestParts][] = [
    ['deny', 'owner', 'instance.stop', { facts: sales }],
    ['deny', 'owner', 'agent.retire', { facts: sales }],
    ['deny', 'owner', 'stop.quarantine', { facts: sales }],
    ['deny', 'owner', 'stop.revoke', { type: 'Owner', id: 'sales' }],
    ['deny', 'owner', 'certificate.revoke', { type: 'Operator', id: 'ada' }],
    ['allow', 'owner', 'certificate.revoke', { type: 'Operator', id: 'olga' }],
    ['deny', 'owner', 'agent.update', takes('research', sales)],
    ['allow', 'owner', 'agent.update', takes('sales', AGENT)],
    ['allow', 'owner', 'agent.update', takes('research', { ...sales, status: 'orphaned' })],
    ['deny', 'owner', 'agent.update', takes('marketing', { ...sales, status: 'orphaned' })],
    ['deny', 'plain', 'agent.update', takes('research', sales)],
    ['deny', 'security', 'agent.update', takes('research', sales)],
    ['allow', 'officer', 'agent.update', takes('research', sales)],
    ['allow', 'plain', 'agent.update', { facts: sales }],
    ['deny', 'plain', 'agent.update', changing('sponsor')],
    ['deny', 'plain', 'agent.update', changing('purpose', 'sponsor')],
    ['deny', 'sponsor', 'agent.update', changing('sponsor')],
    ['deny', 'anotherTeam', 'agent.update', changing('sponsor')],
    ['allow', 'owner', 'agent.update', changing('sponsor')],
    ['allow', 'officer', 'agent.update', changing('sponsor')],
    ['deny', 'sponsor', 'stop.quarantine', { context: { kind: 'agent', cause: 'key_theft', bySponsor: false } }],
  ];
  const outcome = testPolicy(
    { text: defaultPolicyText(), cedar, guard, now: 0 },
    cases.map(([expect, who, action, parts], at) => ({
      name: `${at} ${who} ${action}`,
      request: request(action, { ...parts, caller: WHO[who] }),
      expect,
    })),
  );
  assert.ok('results' in outcome);
  assert.deepEqual(
    outcome.results.filter(({ asExpected }) => !asExpected).map(({ name }) => name),
    [],
  );
});

test('emergency access takes two however little a rule asks for, a person, and half an hour at most', () => {
  const begin = (text: string, caller: Caller, lifetimeSeconds: number): Said | string => {
    const asks = request('emergency.begin', { caller, context: { lifetimeSeconds } });
    const outcome = testPolicy({ text, cedar, guard, now: 0 }, [{ name: 'x', request: asks }]);
    assert.ok('results' in outcome);
    const { verdict } = outcome.results[0]!;
    if (verdict.allowed) return 'allow';
    const { needsApproval } = verdict;
    return needsApproval === undefined ? 'deny' : `${needsApproval.count} of ${needsApproval.group}`;
  };
  const permit = 'permit (principal, action == Action::"emergency.begin", resource);';
  const alone = `@id("a") @description("b") ${permit}`;
  const one = `@id("a") @description("b") @needs_approval("1 of friends") ${permit}`;
  const three = `@id("a") @description("b") @needs_approval("3 of friends") ${permit}`;
  assert.deepEqual(
    [defaultPolicyText(), alone, one, three].map((text) => begin(text, WHO.plain, 1800)),
    ['2 of ca-officers', '2 of ca-officers', '2 of friends', '3 of friends'],
  );
  assert.equal(begin(alone, WHO.plain, 1801), 'deny');
  assert.equal(begin(alone, WHO.plain, 0), 'deny');
  assert.equal(begin(alone, INSTANCE, 60), 'deny');
  assert.equal(begin(alone, { kind: 'system', id: 'system:administrator' }, 60), 'deny');
});
