import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AccessRequest, Action, Caller, Facts, ResourceType } from '../base/access.ts';
import { ACTIONS } from '../base/access.ts';
import { isWritError } from '../base/error.ts';
import { names } from './guard/names.ts';
import { createGuard } from './guard.ts';
import { ADA, ADMINISTRATOR, AGENT, ANONYMOUS, CERTIFICATE, INSTANCE, LIMITS, request } from './testdata/requests.ts';

const guard = createGuard(LIMITS);

/** The rule that refuses, or undefined. */
function refused(asked: AccessRequest): string | undefined {
  const refusal = guard(asked);
  if (refusal !== undefined) assert.match(refusal.sentence, /^[A-Z].*\.$/, 'a refusal is a sentence');
  return refusal?.rule;
}

const ask = (action: Action, more: Parameters<typeof request>[1] = {}): string | undefined =>
  refused(request(action, more));

test('what every caller may ask of the policy set passes', () => {
  for (const action of ACTIONS) {
    const tokens = action === 'jwt.issue' ? 'guard.jwt-svid' : undefined;
    if (action !== 'instance.enrol') assert.equal(ask(action), tokens, `operator: ${action}`);
    const people = action.startsWith('emergency.') ? 'guard.break-glass' : tokens;
    assert.equal(ask(action, { caller: ADMINISTRATOR }), people, `system: ${action}`);
  }
  assert.equal(ask('instance.enrol', { caller: ANONYMOUS }), undefined);
});

test('guard.identified: without a certificate one enrols and does nothing else', () => {
  for (const action of ACTIONS) {
    const want = action === 'instance.enrol' ? undefined : 'guard.identified';
    assert.equal(ask(action, { caller: ANONYMOUS }), want, action);
  }
  const broken = [
    { kind: 'operator', id: 'x' },
    { kind: 'operator', id: 'x', operator: 'ada', instance: 'i', agent: 'planner' },
    { kind: 'agent', id: 'x', agent: 'planner' },
    { kind: 'agent', id: 'x', instance: 'i' },
    { kind: 'service', id: 'x', agent: 'db', instance: 'i', operator: 'ada' },
    { kind: 'admin', id: 'x', operator: 'ada' },
  ] as unknown as (typeof ADA)[];
  for (const caller of broken) assert.equal(ask('agent.read', { caller }), 'guard.identified', JSON.stringify(caller));
  assert.equal(ask('instance.enrol', { caller: INSTANCE }), 'guard.identified');
});

test('guard.operators-only: an agent never registers, publishes or runs the authority', () => {
  const never: Action[] = [
    'agent.register',
    'agent.update',
    'agent.retire',
    'owner.remove',
    'owner.restore',
    'owner.read',
    'ledger.read',
    'policy.read',
    'policy.publish',
    'profile.publish',
    'operator.add',
    'operator.remove',
    'group.change',
    'approval.decide',
    'operator.read',
    'authority.rotate',
    'federation.manage',
    'domain.create',
    'domain.sign',
    'domain.rotate',
    'domain.revoke',
    'domain.close',
    'domain.read',
  ];
  for (const action of never) {
    assert.equal(ask(action, { caller: INSTANCE }), 'guard.operators-only', action);
    assert.equal(ask(action, { caller: { ...INSTANCE, kind: 'service' } }), 'guard.operators-only', action);
  }
});

test('guard.own-affairs: an instance gets certificates for itself and reads of its own', () => {
  const rule = 'guard.own-affairs';
  for (const action of ['certificate.issue', 'certificate.renew', 'certificate.replace'] as const) {
    const own = { caller: INSTANCE, context: { ...CERTIFICATE, instance: INSTANCE.instance! } };
    assert.equal(ask(action, own), undefined, action);
    assert.equal(ask(action, { ...own, context: { ...CERTIFICATE, instance: 'another' } }), rule);
    assert.equal(ask(action, { ...own, context: CERTIFICATE }), rule);
    assert.equal(ask(action, { ...own, id: 'payer' }), rule);
    assert.equal(ask(action, { ...own, type: 'Service' }), rule);
    assert.equal(
      ask(action, { ...own, type: 'Operator', id: 'ada', context: { ...CERTIFICATE, profile: 'operator' } }),
      rule,
    );
    const asService = { ...own, caller: { ...INSTANCE, kind: 'service' as const } };
    assert.equal(ask(action, asService), rule, 'a service is not the agent of its name');
    assert.equal(ask(action, { ...asService, type: 'Service' }), undefined);
  }
  for (const action of ['agent.read', 'certificate.read'] as const) {
    assert.equal(ask(action, { caller: INSTANCE }), undefined);
    assert.equal(ask(action, { caller: INSTANCE, id: 'payer' }), rule);
    assert.equal(ask(action, { caller: INSTANCE, type: 'Installation', id: 'writ' }), rule);
  }
  for (const action of ['token.read', 'token.revoke'] as const) {
    assert.equal(ask(action, { caller: INSTANCE, context: { own: true } }), undefined);
    assert.equal(ask(action, { caller: INSTANCE, context: { own: false } }), rule);
  }
});

test('guard.jwt-svid: for oneself and what one let in, short-lived, and for somebody', () => {
  const own = INSTANCE.instance!;
  const token = (more: Facts): Facts => ({ audience: ['reports'], lifetimeSeconds: 300, instance: own, ...more });
  const table: [Facts, string | undefined, string?][] = [
    [token({}), undefined],
    [token({ parent: 'above' }), undefined],
    [token({ lifetimeSeconds: 3600 }), undefined],
    [token({ instance: 'child', parent: own }), undefined],
    [token({ instance: 'child', parent: own }), undefined, 'another'],
    [token({ instance: 'sibling', parent: 'above' }), 'guard.jwt-svid'],
    [token({ instance: 'grandchild', parent: 'child' }), 'guard.jwt-svid'],
    [token({ instance: 'stranger' }), 'guard.jwt-svid'],
    [token({}), 'guard.jwt-svid', 'another'],
    [token({ lifetimeSeconds: 0 }), 'guard.jwt-svid'],
    [token({ lifetimeSeconds: -1 }), 'guard.jwt-svid'],
    [token({ lifetimeSeconds: 3601 }), 'guard.jwt-svid'],
    [token({ audience: [] }), 'guard.jwt-svid'],
  ];
  for (const [context, want, id] of table) {
    const parts = { caller: INSTANCE, context, ...(id === undefined ? {} : { id }) };
    assert.equal(ask('jwt.issue', parts), want, JSON.stringify([context, id]));
  }
  for (const status of ['quarantined', 'retired', 'orphaned']) {
    assert.equal(ask('jwt.issue', { caller: INSTANCE, facts: { ...AGENT, status } }), 'guard.active');
  }
});

test('guard.downward: never upward, never sideways', () => {
  const target = (instance: string, lineage?: string[]): Facts => ({
    instance,
    ...(lineage === undefined ? {} : { lineage }),
  });
  const own = INSTANCE.instance!;
  const table: [Facts, string | undefined][] = [
    [target(own), undefined],
    [target(own, ['parent']), undefined],
    [target('child', [own]), undefined],
    [target('grandchild', ['child', own, 'parent']), undefined],
    [target('parent'), 'guard.downward'],
    [target('parent', ['grandparent']), 'guard.downward'],
    [target('sibling', ['parent']), 'guard.downward'],
    [target('child'), 'guard.downward'],
  ];
  for (const [context, want] of table) {
    assert.equal(ask('instance.stop', { caller: INSTANCE, context }), want, JSON.stringify(context));
    const revoke = { ...context, reason: 'key_theft' };
    assert.equal(ask('certificate.revoke', { caller: INSTANCE, context: revoke }), want, JSON.stringify(context));
    assert.equal(ask('instance.stop', { caller: ADA, context }), undefined);
  }
  assert.equal(ask('certificate.revoke', { caller: INSTANCE, context: { reason: 'x' } }), 'guard.downward');
});

test('guard.narrower: a token that an instance makes can say no more than the instance', () => {
  const token = (more: Facts): Facts => ({ uses: 1, lifetimeSeconds: 60, scopes: [], callerDepth: 0, ...more });
  const table: [Facts, string | undefined][] = [
    [token({}), undefined],
    [token({ scopes: ['a'], callerScopes: ['a', 'b'] }), undefined],
    [token({ scopes: ['a', 'c'], callerScopes: ['a', 'b'] }), 'guard.narrower'],
    [token({ scopes: ['a'] }), 'guard.narrower'],
    [token({ workflow: 'w', callerWorkflow: 'w' }), undefined],
    [token({ workflow: 'w' }), 'guard.narrower'],
    [token({ workflow: 'v', callerWorkflow: 'w' }), 'guard.narrower'],
    [token({ callerWorkflow: 'w' }), 'guard.narrower'],
    [token({ callerDepth: 7 }), undefined],
    [token({ callerDepth: 8 }), 'guard.narrower'],
    [{ uses: 1, lifetimeSeconds: 60, scopes: [] }, 'guard.narrower'],
  ];
  for (const [context, want] of table) {
    assert.equal(ask('token.create', { caller: INSTANCE, context }), want, JSON.stringify(context));
  }
  assert.equal(ask('token.create', { caller: ADA, context: token({ scopes: ['a'], workflow: 'w' }) }), undefined);
});

test('guard.active: nothing for what is stopped or has no owner', () => {
  for (const action of ['token.create', 'certificate.issue', 'certificate.renew', 'certificate.replace'] as const) {
    for (const status of ['quarantined', 'retired', 'orphaned', 'Active', '']) {
      for (const caller of [ADA, ADMINISTRATOR]) {
        assert.equal(ask(action, { caller, facts: { ...AGENT, status } }), 'guard.active', `${action} ${status}`);
      }
    }
  }
  const stopped = { ...AGENT, status: 'quarantined' };
  assert.equal(ask('instance.enrol', { caller: ANONYMOUS, facts: stopped }), 'guard.active');
  assert.equal(ask('instance.stop', { facts: stopped }), undefined);
  assert.equal(ask('certificate.revoke', { facts: stopped }), undefined);
});

test('guard.profile-of-kind: an agent’s certificate is never an operator’s, and nobody’s an authority’s', () => {
  const rule = 'guard.profile-of-kind';
  for (const profile of ['operator', 'server', 'root', 'intermediate', 'issuing']) {
    for (const caller of [ADA, ADMINISTRATOR]) {
      assert.equal(ask('certificate.issue', { caller, context: { ...CERTIFICATE, profile } }), rule, profile);
      assert.equal(ask('agent.register', { caller, facts: { ...AGENT, profile } }), rule, profile);
    }
    const change = { changes: ['profile'], team: 'a', environment: 'b', profile };
    assert.equal(ask('agent.update', { context: change }), rule, profile);
  }
  const of = (type: ResourceType, profile: string, caller = ADA): string | undefined =>
    ask('certificate.issue', { caller, type, id: 'x', context: { ...CERTIFICATE, profile } });
  assert.equal(of('Operator', 'operator'), undefined);
  assert.equal(of('Operator', 'agent'), rule);
  assert.equal(of('Installation', 'server', ADMINISTRATOR), undefined);
  assert.equal(of('Installation', 'server'), rule);
  assert.equal(of('Installation', 'agent', ADMINISTRATOR), rule);
});

test('guard.lifetime: as the profile allows', () => {
  const lives = (lifetimeSeconds: number): string | undefined =>
    ask('certificate.issue', { caller: ADMINISTRATOR, context: { ...CERTIFICATE, lifetimeSeconds } });
  for (const seconds of [300, 3600, 86_400]) assert.equal(lives(seconds), undefined);
  for (const seconds of [299, 86_401, 0, -1]) assert.equal(lives(seconds), 'guard.lifetime');
  for (const seconds of [300.5, Number.NaN, Number.POSITIVE_INFINITY]) assert.equal(lives(seconds), 'guard.complete');
});

test('guard.names: within the trust domain and the configured ranges, where the profile has them', () => {
  const named = (dnsNames: string[], ipAddresses: string[] = [], profile: Facts = {}): string | undefined =>
    ask('certificate.issue', {
      context: {
        ...CERTIFICATE,
        profileDnsNames: true,
        profileIpAddresses: true,
        ownDnsNames: ['example.com', 'example.org', 'corp.internal'],
        dnsNames,
        ipAddresses,
        ...profile,
      },
    });
  const good = ['example.com', 'db.example.com', 'a.b.example.com', 'localhost', 'x.corp.internal'];
  for (const name of good) assert.equal(named([name]), undefined, name);
  const bad = [
    'example.org',
    'notexample.com',
    'example.com.',
    '*.example.com',
    'DB.example.com',
    'a_b.example.com',
    '-a.example.com',
    '.example.com',
    'a..example.com',
    '',
    'example.com\0.evil.org',
    `${'a'.repeat(64)}.example.com`,
    `${'a.'.repeat(125)}example.com`,
    'com',
  ];
  for (const name of bad) assert.equal(named([name]), 'guard.names', name);
  assert.equal(named(['db.example.com', 'example.org']), 'guard.names');
  assert.equal(named(['db.example.com'], [], { profileDnsNames: false }), 'guard.names');

  for (const address of ['10.0.0.1', '10.255.255.255', 'fd00::1', '127.0.0.1']) {
    assert.equal(named([], [address]), undefined, address);
  }
  const outside = ['11.0.0.1', 'fe80::1', '::1', '010.0.0.1', '10.0.0', '10.0.0.1/8', 'fd00::1%eth0', '', '*'];
  // The same address in another dress, and an IPv4 address in an IPv6 one.
  const disguised = ['::ffff:10.0.0.1', '::ffff:a00:1', 'FD00::1', 'fd00:0::1', 'fd00::0001', '10.0.0.1 '];
  for (const address of [...outside, ...disguised]) assert.equal(named([], [address]), 'guard.names', address);
  assert.equal(named([], ['10.0.0.1'], { profileIpAddresses: false }), 'guard.names');

  const serverNames = ['writ.example.com', '10.0.0.9', 'localhost', '127.0.0.1'];
  const own = createGuard({ ...LIMITS, serverNames });
  const claimed = (type: 'Service' | 'Installation', dnsNames: string[], ipAddresses: string[]) => {
    const profile = type === 'Installation' ? 'server' : 'agent';
    const ownDnsNames = type === 'Installation' ? {} : { ownDnsNames: ['writ.example.com'] };
    const allowed = { profile, profileDnsNames: true, profileIpAddresses: true, ...ownDnsNames };
    const context = { ...CERTIFICATE, ...allowed, dnsNames, ipAddresses };
    return own(request('certificate.issue', { caller: ADMINISTRATOR, type, context }))?.rule;
  };
  assert.equal(claimed('Service', ['writ.example.com'], []), 'guard.names');
  assert.equal(claimed('Service', [], ['10.0.0.9']), 'guard.names');
  assert.equal(claimed('Service', ['db.writ.example.com', 'localhost'], ['10.0.0.8', '127.0.0.1']), undefined);
  assert.equal(claimed('Installation', ['writ.example.com'], ['10.0.0.9']), undefined);

  for (const range of ['10.0.0.0', '10.0.0.0/33', '10.0.0.0/8/8', 'x/8', '10.0.0.0/', 'fd00::/129', '/8']) {
    assert.throws(
      () => names({ ...LIMITS, ipRanges: [range] }),
      (error) => isWritError(error, 'bad_config'),
      range,
    );
  }
});

test('guard.names: an agent or service has names of its own alone, whoever asks', () => {
  const named = (dnsNames: string[], more: Facts = {}, type: ResourceType = 'Service'): string | undefined => {
    const context = { ...CERTIFICATE, profileDnsNames: true, dnsNames, ...more };
    return ask('certificate.issue', { caller: ADMINISTRATOR, type, id: 'db', context });
  };
  const rule = 'guard.names';
  for (const type of ['Agent', 'Service'] as const) {
    for (const name of ['db.example.com', 'a.b.db.example.com', 'localhost', 'db.localhost']) {
      assert.equal(named([name], {}, type), undefined, name);
    }
    for (const name of ['example.com', 'api.example.com', 'xdb.example.com', 'db.example.com.example.com']) {
      assert.equal(named([name], {}, type), rule, name);
    }
  }
  assert.equal(named(['db.example.com', 'api.example.com']), rule, 'one that is its own excuses no other');
  const registered = { ownDnsNames: ['api.example.com', 'x.corp.internal'] };
  assert.equal(
    named(['api.example.com', 'v1.api.example.com', 'x.corp.internal', 'db.example.com'], registered),
    undefined,
  );
  assert.equal(named(['corp.internal'], registered), rule);
  assert.equal(
    named(['evil.org'], { ownDnsNames: ['evil.org'] }),
    rule,
    'registering is no way out of the trust domain',
  );
});

test('guard.complete: a forgotten, misspelt or mistyped fact refuses', () => {
  for (const action of ACTIONS) {
    const asks: Partial<Record<Action, Caller>> = { 'instance.enrol': ANONYMOUS, 'jwt.issue': INSTANCE };
    const whole = request(action, { caller: asks[action] ?? ADA });
    assert.equal(refused(whole), undefined);
    for (const place of ['context', 'facts'] as const) {
      const facts = (place === 'context' ? whole.context : whole.resource.facts) ?? {};
      const change = (changed: Facts): AccessRequest =>
        place === 'context'
          ? { ...whole, context: changed }
          : { ...whole, resource: { ...whole.resource, facts: changed } };
      assert.equal(refused(change({ ...facts, misspelt: 'x' })), 'guard.complete', `${action} ${place}`);
      for (const name of Object.keys(facts)) {
        const { [name]: _, ...without } = facts;
        assert.equal(refused(change(without)), 'guard.complete', `${action} without ${name}`);
        for (const other of [null, {}, 1.5, [1], undefined]) {
          const mistyped = { ...facts, [name]: other } as unknown as Facts;
          assert.equal(refused(change(mistyped)), 'guard.complete', `${action} ${name} ${other}`);
        }
      }
    }
  }
  assert.equal(refused({ ...request('agent.read'), action: 'agent.burn' as Action }), 'guard.complete');
  assert.equal(refused({ ...request('agent.read'), action: 'toString' as Action }), 'guard.complete');
  assert.equal(ask('agent.register', { type: 'Installation', id: 'writ', facts: {} }), 'guard.complete');
  const proto = { ...request('agent.read'), context: JSON.parse('{"__proto__": "x"}') as Facts };
  assert.equal(refused(proto), 'guard.complete');
});
