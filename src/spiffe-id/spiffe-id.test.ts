import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isWritError } from '../base/error.ts';
import { isName, type Name } from './name.ts';
import { parseSpiffeId, spiffeId } from './spiffe-id.ts';
import { instanceId, operatorId, responderId, serverId, subjectOf } from './subject.ts';
import { nameConstraintFault, parseTrustDomain } from './trust-domain.ts';

const rejects = (text: string) =>
  assert.throws(
    () => parseSpiffeId(text),
    (error) => isWritError(error, 'bad_spiffe_id'),
    text,
  );

test('accepts what the SPIFFE-ID standard allows, unchanged', () => {
  const table: [string, string, string[]][] = [
    ['spiffe://example.com', 'example.com', []],
    ['spiffe://example.com/agent/planner/01jd', 'example.com', ['agent', 'planner', '01jd']],
    ['spiffe://10.2.3.4/x', '10.2.3.4', ['x']],
    ['spiffe://a_b-c.d/A.B-C_9', 'a_b-c.d', ['A.B-C_9']],
    ['spiffe://example.com/...', 'example.com', ['...']],
    [`spiffe://${'a'.repeat(255)}`, 'a'.repeat(255), []],
    [`spiffe://a/${'b'.repeat(2037)}`, 'a', ['b'.repeat(2037)]],
  ];
  for (const [text, domain, segments] of table) {
    assert.deepEqual(parseSpiffeId(text), { uri: text, trustDomain: domain, segments });
  }
});

test('rejects every deviation', () => {
  const table = [
    '',
    'spiffe:',
    'spiffe:/',
    'spiffe://',
    'spiffe:///path',
    'SPIFFE://example.com/a',
    'Spiffe://example.com/a',
    'https://example.com/a',
    ' spiffe://example.com/a',
    'spiffe://example.com/a ',
    'spiffe://example.com/a\n',
    'spiffe://Example.com/a',
    'spiffe://example.com:443/a',
    'spiffe://user@example.com/a',
    'spiffe://user:pw@example.com/a',
    'spiffe://[::1]/a',
    'spiffe://ex%61mple.com/a',
    'spiffe://bücher.example/a',
    'spiffe://example.com/',
    'spiffe://example.com/a/',
    'spiffe://example.com//a',
    'spiffe://example.com/a//b',
    'spiffe://example.com/./a',
    'spiffe://example.com/a/..',
    'spiffe://example.com/%61',
    'spiffe://example.com/a?b=c',
    'spiffe://example.com?b=c',
    'spiffe://example.com/a#b',
    'spiffe://example.com/did:mesh:1',
    'spiffe://example.com/a b',
    'spiffe://example.com/é',
    'spiffe://example.com/a\0',
    `spiffe://${'a'.repeat(256)}`,
    `spiffe://a/${'b'.repeat(2038)}`,
  ];
  for (const text of table) rejects(text);
});

test('whatever is accepted comes back as the same text, and nothing else is accepted', () => {
  // An oracle written otherwise: the grammar of the standard as one expression.
  const grammar = /^spiffe:\/\/[a-z0-9._-]{1,255}(\/(?!\.{1,2}(\/|$))[A-Za-z0-9._-]+)*$/;
  const piece = fc.constantFrom('spiffe://', '/', '.', '..', 'a', 'Z', '-', '_', '%41', ':', '@', '?', '#', 'ä', ' ');
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 8 }), fc.boolean(), (pieces, prefixed) => {
      const text = (prefixed ? 'spiffe://' : '') + pieces.join('');
      if (grammar.test(text)) assert.equal(parseSpiffeId(text).uri, text);
      else rejects(text);
    }),
  );
});

test('an error names field and fault, not the input', () => {
  assert.throws(
    () => parseSpiffeId('spiffe://example.com/hunter2 ', '/spiffe_id'),
    (error) =>
      isWritError(error, 'bad_spiffe_id') && error.field === '/spiffe_id' && !JSON.stringify(error).includes('hunter2'),
  );
});

test('an id cannot be built with a segment that would read back otherwise', () => {
  const domain = parseTrustDomain('example.com');
  for (const segment of ['a/b', '', '..', 'a?b']) {
    assert.throws(
      () => spiffeId(domain, 'agent', segment),
      (error) => isWritError(error, 'bad_spiffe_id'),
    );
  }
});

test('trust domains: what the standard allows, and what name constraints need besides', () => {
  for (const bad of ['', 'Example.com', 'a:1', 'a/b', 'spiffe://a.b', 'a'.repeat(256), 'a b']) {
    assert.throws(
      () => parseTrustDomain(bad, '--trust-domain'),
      (error) => isWritError(error, 'bad_spiffe_id') && error.field === '--trust-domain',
    );
  }
  const fit = ['example.com', 'a.b', 'agents.prod-1.example.internal', 'x.0a', '10.2.3.4.example'];
  for (const name of fit) assert.equal(nameConstraintFault(parseTrustDomain(name)), undefined, name);
  const unfit = {
    'IP address': ['10.2.3.4', '127.1', '1', '0x7f.0x1', 'example.10', 'a.0x'],
    'single label': ['localhost', 'writ'],
    'empty label': ['example.com.', '.example.com', 'a..b'],
    underscore: ['a_b.example'],
    dash: ['-a.example', 'a-.example', 'a.example-'],
    '63 bytes': [`${'a'.repeat(64)}.example`],
    '253 bytes': [`${'a.'.repeat(126)}ab`],
  };
  for (const [fault, names] of Object.entries(unfit)) {
    for (const name of names) {
      assert.ok(nameConstraintFault(parseTrustDomain(name))?.includes(fault), `${name}: ${fault}`);
    }
  }
});

test('names', () => {
  for (const good of ['a', '0', 'planner', 'a-b', 'a--b', 'a'.repeat(63)]) assert.ok(isName(good), good);
  for (const bad of ['', '-a', 'a-', 'A', 'a_b', 'a.b', 'a/b', 'a'.repeat(64), 'a\n', 'é'])
    assert.ok(!isName(bad), bad);
});

test('subjects read back as they were built, and only within their own trust domain', () => {
  const domain = parseTrustDomain('example.com');
  const elsewhere = parseTrustDomain('example.org');
  const name = 'planner' as Name;
  const instance = '01jd0000000000000000000000';
  const table = [
    [instanceId(domain, 'agent', name, instance), { kind: 'agent', name, instance }],
    [instanceId(domain, 'service', name, instance), { kind: 'service', name, instance }],
    [operatorId(domain, name), { kind: 'operator', name }],
    [serverId(domain), { kind: 'server' }],
    [responderId(domain), { kind: 'responder' }],
  ] as const;
  for (const [id, subject] of table) {
    assert.deepEqual(subjectOf(id, domain), subject);
    assert.deepEqual(subjectOf(parseSpiffeId(id.uri), domain), subject);
    assert.equal(subjectOf(id, elsewhere), undefined);
  }
  const foreign = [
    '',
    '/agent',
    '/agent/planner',
    '/agent/Planner/01jd0000000000000000000000',
    '/agent/planner/x',
    `/agent/planner/${instance}/x`,
    '/operator',
    '/operator/a/b',
    '/writ',
    '/writ/other',
    `/operator/${instance}/x`,
  ];
  for (const path of foreign)
    assert.equal(subjectOf(parseSpiffeId(`spiffe://example.com${path}`), domain), undefined, path);
});
