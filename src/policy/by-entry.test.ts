import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Action, Caller, Facts } from '../base/access.ts';
import { Cedar } from './cedar.ts';
import { createGuard } from './guard.ts';
import { ADA, ANONYMOUS, CERTIFICATE, INSTANCE, LIMITS, type RequestParts, request } from './testdata/requests.ts';
import { defaultPolicyText, schemaText } from './text-files.ts';
import { type PolicyCase, testPolicy } from './try.ts';

const cedar = new Cedar(schemaText());
const guard = createGuard(LIMITS);

const ID = INSTANCE.instance!;
const NODE: Caller = {
  kind: 'service',
  id: `spiffe://example.com/service/host/${ID}`,
  agent: 'host',
  instance: ID,
};

const LETS_IN: Facts = {
  ...CERTIFICATE,
  scopes: ['read'],
  attestation: 'node',
  entry: ID,
  facts: ['unix:uid=1000'],
  renewal: false,
  entryNode: 'host',
  entryMatches: true,
  entryScopes: ['read', 'write'],
  callerDepth: 0,
};
const RENEWS: Facts = { ...LETS_IN, renewal: true, instance: 'child', parent: ID };
const HOST: RequestParts = { type: 'Service', id: 'host' };

function judge(text: string, cases: readonly PolicyCase[]): string[] {
  const outcome = testPolicy({ text, cedar, guard, now: 0 }, cases);
  assert.ok('results' in outcome);
  return outcome.results
    .filter(({ asExpected }) => !asExpected)
    .map(({ name, verdict }) => `${name}: ${verdict.allowed} ${verdict.rules.join(' ')}`);
}

test('a node lets in by the entries for its own service, what they ask for, with what they give', () => {
  const lets = (expect: NonNullable<PolicyCase['expect']>, facts: Facts, caller: Caller = NODE): PolicyCase => ({
    name: JSON.stringify([caller.agent, facts]),
    request: request('workload.enrol', { caller, context: facts }),
    expect,
  });
  assert.deepEqual(
    judge(defaultPolicyText(), [
      lets('allow', LETS_IN),
      lets('deny', { ...LETS_IN, entryNode: 'other' }),
      lets('deny', { ...LETS_IN, entryNode: '' }),
      lets('deny', { ...LETS_IN, entryMatches: false }),
      lets('deny', { ...LETS_IN, scopes: ['read', 'admin'] }),
      lets('deny', { ...LETS_IN, callerDepth: 8 }),
      lets('deny', { ...LETS_IN, lifetimeSeconds: 90_000 }),
      lets('deny', LETS_IN, { ...INSTANCE, agent: 'host' }),
      lets('deny', LETS_IN, ADA),
      lets('deny', LETS_IN, ANONYMOUS),
      lets('allow', RENEWS),
      lets('allow', { ...RENEWS, callerDepth: 8 }),
      lets('deny', { ...RENEWS, parent: 'another' }),
      lets('deny', { ...LETS_IN, renewal: true }),
    ]),
    [],
  );
});

test('nothing is let in for an agent that is held, and no rule can loosen what the guard says', () => {
  const all = '@id("all") @description("all") permit (principal, action, resource);';
  const held = { team: 'a', environment: 'b', profile: 'agent', status: 'quarantined', labels: [] };
  assert.deepEqual(
    judge(all, [
      {
        name: 'held',
        request: request('workload.enrol', { caller: NODE, context: LETS_IN, facts: held }),
        expect: 'deny',
      },
      {
        name: 'of another',
        request: request('workload.enrol', { caller: NODE, context: { ...LETS_IN, entryNode: 'x' } }),
        expect: 'deny',
      },
      ...(['attestor.manage', 'attestor.read', 'entry.manage'] as Action[]).map((action) => ({
        name: action,
        request: request(action, { caller: NODE }),
        expect: 'deny' as const,
      })),
    ]),
    [],
  );
});

test('a node reads the entries for its own service and no others', () => {
  const reads = (expect: NonNullable<PolicyCase['expect']>, parts: RequestParts, own: boolean): PolicyCase => ({
    name: JSON.stringify([parts, own]),
    request: request('entry.read', { caller: NODE, ...parts, context: { own } }),
    expect,
  });
  assert.deepEqual(
    judge(defaultPolicyText(), [
      reads('allow', HOST, true),
      reads('deny', HOST, false),
      reads('deny', { type: 'Service', id: 'other' }, true),
      reads('deny', { type: 'Installation' }, false),
      reads('allow', { caller: ADA, type: 'Installation' }, false),
    ]),
    [],
  );
});

test('who says what evidence counts, and who is let in on it', () => {
  const paul: Caller = { kind: 'operator', id: 'spiffe://example.com/operator/paul', operator: 'paul', groups: [] };
  const enrols = (facts: Facts): RequestParts => ({
    caller: ANONYMOUS,
    context: { ...CERTIFICATE, facts: [], ...facts },
  });
  assert.deepEqual(
    judge(defaultPolicyText(), [
      { name: 'attestor', request: request('attestor.manage', { caller: ADA }), expect: 'allow' },
      { name: 'attestor, paul', request: request('attestor.manage', { caller: paul }), expect: 'deny' },
      { name: 'entry', request: request('entry.manage', { caller: paul }), expect: 'allow' },
      {
        name: 'by entry',
        request: request('instance.enrol', enrols({ attestation: 'oidc', attestor: 'github', entry: ID })),
        expect: 'allow',
      },
      { name: 'by nothing', request: request('instance.enrol', enrols({ attestation: 'oidc' })), expect: 'deny' },
    ]),
    [],
  );
});

test('a rule can ask for what was attested', () => {
  const text = `${defaultPolicyText()}
    @id("tools") @description("tools") forbid (principal, action in [Action::"instance.enrol", Action::"workload.enrol"], resource == Agent::"planner")
    unless { context.facts.contains("agent:tools_sha256=aa") };`;
  const lets = (facts: readonly string[]): RequestParts => ({ caller: NODE, context: { ...LETS_IN, facts } });
  assert.deepEqual(
    judge(text, [
      { name: 'other tools', request: request('workload.enrol', lets(['agent:tools_sha256=bb'])), expect: 'deny' },
      { name: 'no word', request: request('workload.enrol', lets([])), expect: 'deny' },
      { name: 'those', request: request('workload.enrol', lets(['agent:tools_sha256=aa'])), expect: 'allow' },
    ]),
    [],
  );
});
