import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isWritError } from '../../base/error.ts';
import { testAuthority } from '../../http/testdata/authority.ts';
import { parseSpiffeId } from '../../spiffe-id/spiffe-id.ts';
import { checkPeer, compileRule, type PeerRule, ruleContexts, spiffeIdOf } from './peer.ts';

const DOMAIN = 'agents.example.com';
const planner = `spiffe://${DOMAIN}/agent/planner/1`;

const table: readonly (readonly [PeerRule, string, boolean])[] = [
  ['agent/planner/1', planner, true],
  [planner, planner, true],
  ['agent/planner/*', planner, true],
  ['agent/planner/*', `spiffe://${DOMAIN}/agent/planner/2`, true],
  ['agent/planner/2', planner, false],
  ['agent/planner/*', `spiffe://${DOMAIN}/agent/planner`, false],
  ['agent/planner/*', `spiffe://${DOMAIN}/agent/planner/1/2`, false],
  ['agent/planner/*', `spiffe://${DOMAIN}/agent/planner-2/1`, false],
  ['agent/plan/*', planner, false],
  ['agent/planner/*', `spiffe://${DOMAIN}/service/planner/1`, false],
  ['agent/planner/*', 'spiffe://other.example.com/agent/planner/1', false],
  ['spiffe://other.example.com/agent/planner/*', 'spiffe://other.example.com/agent/planner/1', true],
  ['spiffe://other.example.com/ns/*', 'spiffe://other.example.com/ns/default', true],
  ['spiffe://other.example.com/*', 'spiffe://other.example.com/anything', true],
  ['spiffe://other.example.com/*', 'spiffe://other.example.com', false],
  ['operator/ada', `spiffe://${DOMAIN}/operator/ada`, true],
  ['operator/*', `spiffe://${DOMAIN}/operator/ada`, true],
  [['agent/a/*', 'agent/planner/*'], planner, true],
  [[], planner, false],
  [(id) => id.segments[1] === 'planner', planner, true],
  [() => false, planner, false],
];

test('rules accept exactly whom they name', () => {
  for (const [rule, uri, accepted] of table) {
    assert.equal(compileRule(rule, DOMAIN)(parseSpiffeId(uri)), accepted, `${String(rule)} of ${uri}`);
  }
});

test('a rule that could match nobody is refused when it is made, with what to say instead', () => {
  for (const rule of [
    'agent/planner',
    'service/db',
    'agent/planner/1/2',
    'agent/*',
    '*',
    `spiffe://${DOMAIN}/agent/planner`,
  ]) {
    assert.throws(
      () => compileRule(rule, DOMAIN),
      (error) => isWritError(error, 'bad_spiffe_id') && error.remedy!.includes('agent/NAME/*'),
      rule,
    );
  }
  for (const rule of [
    '',
    '/',
    'agent/*/*',
    'agent/planner/',
    'agent/plan*',
    '**',
    'a b',
    'spiffe://',
    'agent/../x/*',
  ]) {
    assert.throws(
      () => compileRule(rule, DOMAIN),
      (error) => isWritError(error, 'bad_spiffe_id'),
      rule,
    );
  }
});

test('a function accepts by true alone, and refuses by failing', () => {
  const id = parseSpiffeId(planner);
  const promising = (async () => true) as unknown as () => boolean;
  const truthy = (() => 1) as unknown as () => boolean;
  const failing = () => {
    throw new Error('no');
  };
  for (const rule of [promising, truthy, failing]) assert.equal(compileRule(rule, DOMAIN)(id), false);
});

const segment = fc.stringMatching(/^[a-zA-Z0-9_-]{1,12}$/);
const path = fc.tuple(fc.constantFrom('agent', 'service'), segment, segment).map((parts) => parts.join('/'));

test('an id accepts itself, its star accepts its siblings alone', () => {
  fc.assert(
    fc.property(path, path, (own, other) => {
      const [a, b] = [parseSpiffeId(`spiffe://${DOMAIN}/${own}`), parseSpiffeId(`spiffe://${DOMAIN}/${other}`)];
      assert.ok(compileRule(own, DOMAIN)(a));
      assert.equal(compileRule(own, DOMAIN)(b), own === other);
      const parent = own.slice(0, own.lastIndexOf('/'));
      const star = compileRule(`${parent}/*`, DOMAIN);
      assert.ok(star(a));
      assert.equal(star(b), other.slice(0, other.lastIndexOf('/')) === parent);
    }),
  );
});

test('whatever text a rule is, it accepts nobody of another trust domain unless it names that', () => {
  const pieces = fc.constantFrom('agent', 'service', 'planner', '1', '*', '/', '..', '@', ':', '%2f', '#', '?', ' ');
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 7 }), path, (words, other) => {
      const foreign = parseSpiffeId(`spiffe://other.example.com/${other}`);
      try {
        assert.equal(compileRule(words.join(''), DOMAIN)(foreign), false);
      } catch (error) {
        assert.ok(isWritError(error, 'bad_spiffe_id'));
      }
    }),
  );
});

test('each rule has a context of its own that TLS can take', () => {
  const contextOf = ruleContexts();
  const [f, g] = [() => true, () => true];
  const rules: PeerRule[] = ['agent/a/*', ['agent/a/*'], ['agent/a/*', 'agent/b/*'], 'agent/b/*', f, g];
  const contexts = rules.map(contextOf);
  assert.equal(new Set(contexts).size, rules.length);
  assert.deepEqual(rules.map(contextOf), contexts);
  assert.ok(contexts.every((context) => Buffer.byteLength(context) <= 32));
});

test('the id of a certificate is its one URI; anything else names nobody and is refused', () => {
  const root = testAuthority();
  const { der } = root.leaf({ uri: planner, dns: ['localhost'] });
  assert.equal(spiffeIdOf(der).uri, planner);
  assert.throws(
    () => spiffeIdOf(root.der),
    (error) => isWritError(error, 'bad_spiffe_id'),
  );
  const check = checkPeer(() => true);
  const peer = (raw: Uint8Array) => ({ raw }) as Parameters<typeof check>[1];
  assert.equal(check('any.example', peer(der)), undefined);
  assert.ok(isWritError(check('any.example', peer(root.der)), 'bad_spiffe_id'));
  assert.ok(check('any.example', peer(new Uint8Array([48, 0]))) instanceof Error);
  assert.ok(isWritError(checkPeer(() => false)('x', peer(der)), 'denied'));
});
